"""The whole validation on images whose right answers are known, and data that do not fit."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Iterable

import cv2
import numpy as np
import pytest
from colours import COLOURS as COLOURS_OF
from colours import NAMES, colour_model, painted, write_records

from mobilenet.data.class_folder_labels import imagenet_words
from mobilenet.data.eval_transforms import PREPROCESSINGS
from mobilenet.data.image_decoding import decode
from mobilenet.data.manifest import Manifest, Split
from mobilenet.data.record_file import RecordWriter, read_index, write_index
from mobilenet.data.synset import spoken_names
from mobilenet.errors import ConfigError, DataError, VerificationError
from mobilenet.packing.prepare import PrepareOptions, prepare
from mobilenet.validation import accuracy_statistics
from mobilenet.validation.accuracy_gate import published_expectation
from mobilenet.validation.labelled_images import open_validation_set
from mobilenet.validation.model_comparison import compare
from mobilenet.validation.preprocessing_audit import audit
from mobilenet.validation.report.report_files import write_report
from mobilenet.validation.validate import Options, open_data, validate

# Eleven images; the third, sixth and tenth are labelled otherwise than they are painted.
COLOURS = [0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2]
LABELS = [0, 1, 3, 3, 4, 0, 6, 7, 0, 2, 2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_records(tmp_path, COLOURS, LABELS)
    return tmp_path


def test_every_record_counts_once(folder: Path) -> None:
    validation = validate(colour_model(folder))
    assert validation.counts[:2] == (11, 8)
    assert validation.predictions.classes[:, 0].tolist() == COLOURS
    assert validation.data.keys == list(range(100, 111))
    assert "top-1 72.73 %  (8 of 11; 95 % interval 43.44 to 90.25 %)" in validation.summary()


def test_json_holds_fractions_intervals_and_conditions(folder: Path) -> None:
    validation = validate(colour_model(folder))
    content = json.loads(json.dumps(validation.as_json()))
    assert content["num_images"] == 11
    assert content["top1"] == 8 / 11
    assert tuple(content["top1_interval"]) == accuracy_statistics.wilson_interval(8, 11)
    assert content["transform"]["name"] == "center-crop"
    assert content["transform"]["short_side"] == 40
    assert content["any_label"] is None


@pytest.mark.parametrize("views", ["flip", "ten-crop"])
def test_views_of_a_plain_colour_change_nothing(folder: Path, views: str) -> None:
    one = validate(colour_model(folder))
    several = validate(colour_model(folder), None, Options(views=views))
    np.testing.assert_array_equal(several.predictions.ranks, one.predictions.ranks)
    assert several.predictions.losses == pytest.approx(one.predictions.losses, rel=1e-4)


def test_ten_crops_need_room(folder: Path) -> None:
    model = colour_model(folder)
    object.__setattr__(model.config.validation, "short_side", 32)
    with pytest.raises(ConfigError, match="larger short side than 32 px"):
        validate(model, None, Options(views="ten-crop"))


def test_several_labels_are_all_right(folder: Path) -> None:
    sets = [[label] for label in LABELS]
    sets[2], sets[5], sets[10] = [3, 2], [0, 5], []
    (folder / "real.json").write_text(json.dumps(sets))
    validation = validate(colour_model(folder), None, Options(label_sets=folder / "real.json"))
    assert validation.counts.num_top1 == 8
    assert validation.any_label[:2] == (10, 9)
    assert "top-1, any label 90.00 %  (9 of 10" in validation.summary()


def test_restricted_answers_are_classes_of_the_data(tmp_path: Path) -> None:
    for name in ("red", "white"):
        (tmp_path / name).mkdir()
    (tmp_path / "red" / "a.png").write_bytes(painted(4))  # purple: nearer to red than to white?
    (tmp_path / "white" / "b.png").write_bytes(painted(7))
    free = validate(colour_model(tmp_path), tmp_path)
    restricted = validate(colour_model(tmp_path), tmp_path, Options(restricted=True))
    assert free.predictions.classes[:, 0].tolist() == [4, 7]
    assert set(restricted.predictions.classes[:, 0].tolist()) <= {0, 7}
    assert restricted.predictions.probabilities[:, :2].sum(axis=1) == pytest.approx(1)


def test_some_classes_alone(folder: Path) -> None:
    """The others' images are dropped, and their classes are no answers."""
    model, where = colour_model(folder), folder / "classes.txt"
    images = open_data(model, None).of_classes(["yellow", "red"], where)
    assert images.labels.tolist() == [0, 3, 3, 0, 0]
    assert images.keys == [100, 102, 103, 105, 108]
    validation = validate(model, images, Options(restricted=True))
    assert set(validation.predictions.classes[:, :2].ravel().tolist()) == {0, 3}
    # Blue was labelled yellow and is nearer to red; cyan was labelled red and is nearer to yellow.
    assert validation.counts[:2] == (5, 3)
    assert "answers: only 2 of 8 classes" in validation.summary()
    for ids, message in (
        (["orange"], "classes.txt: 'orange' is none of the model's 8 classes"),
        ([], "has no image of these classes"),
    ):
        with pytest.raises(DataError, match=message):
            images.of_classes(ids, where)


def test_labels_follow_names_not_numbers(folder: Path) -> None:
    order = [7, 3, 0, 1, 6, 2, 5, 4]  # of the classes in the data's synset
    (folder / "synset.txt").write_text("\n".join(NAMES[k] for k in order) + "\n")
    write_records(folder, COLOURS, [order.index(label) for label in LABELS])
    assert validate(colour_model(folder)).counts.num_top1 == 8


def test_two_classes_of_the_same_name_stay_two(folder: Path) -> None:
    names = ["crane", "crane", *NAMES[2:]]
    (folder / "synset.txt").write_text("\n".join(names))
    assert validate(colour_model(folder, names)).counts.num_top1 == 8


def test_wordnet_ids_are_compared_without_their_words(tmp_path: Path) -> None:
    names = [f"n0000000{k} {name}" for k, name in enumerate(NAMES)]
    write_records(tmp_path, COLOURS, LABELS)
    (tmp_path / "synset.txt").write_text("\n".join(f"n0000000{k}" for k in range(8)))
    assert validate(colour_model(tmp_path, names)).counts.num_top1 == 8


def test_folder_of_classes(tmp_path: Path) -> None:
    for place, (colour, label) in enumerate(zip(COLOURS, LABELS)):
        path = tmp_path / NAMES[label] / "inner" / f"{place:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(painted(colour))
    (tmp_path / "red" / "notes.txt").write_text("no image")
    os.mkfifo(tmp_path / "red" / "pipe.png")
    validation = validate(colour_model(tmp_path), tmp_path)
    assert validation.counts[:2] == (11, 8)
    assert validation.data.keys[0] == "black/inner/06.png"


def test_numbered_folders_are_labels_not_ranks(tmp_path: Path) -> None:
    # As in ImageNetV2, where "10" would sort before "2".
    for label in (1, 7):
        (tmp_path / str(label)).mkdir()
        (tmp_path / str(label) / "a.png").write_bytes(painted(label))
    assert validate(colour_model(tmp_path), tmp_path).counts[:2] == (2, 2)


def test_numbered_folders_are_classes_where_classes_are_called_by_numbers(tmp_path: Path) -> None:
    names = [str(7 - label) for label in range(8)]
    for label in (1, 7):
        (tmp_path / names[label]).mkdir()
        (tmp_path / names[label] / "a.png").write_bytes(painted(label))
    assert validate(colour_model(tmp_path, names), tmp_path).counts[:2] == (2, 2)
    (tmp_path / "07").mkdir()
    (tmp_path / "07" / "a.png").write_bytes(painted(7))
    with pytest.raises(DataError, match="its class '07' is none of the model's 8 classes"):
        open_validation_set(tmp_path, names, 8)


def test_names_are_spoken_without_their_ids_unless_two_would_be_the_same() -> None:
    lines = [
        "n02012849 crane",
        "n03126707 crane",
        "n02123045 tabby, tabby cat",
        "n1 x",
        "n00000001",
    ]
    assert spoken_names(lines) == (*lines[:2], "tabby, tabby cat", "n1 x", "n00000001")


def opened(path: Path, names: tuple[str, ...] = NAMES) -> None:
    open_validation_set(path, names, 8)


def test_data_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing: there is no record file"):
        opened(tmp_path / "missing")
    with pytest.raises(DataError, match=r"neither val\.rec nor a folder of images per class"):
        opened(tmp_path)
    write_records(tmp_path, COLOURS, [*LABELS[:10], 8])
    with pytest.raises(DataError, match=r"val\.rec: record 10 has the label 8, but there are 8 "):
        opened(tmp_path)
    (tmp_path / "synset.txt").write_text("red\norange\n")
    with pytest.raises(DataError, match=r"its class 'orange' is none of the model's 8 classes"):
        opened(tmp_path)
    with pytest.raises(DataError, match="the model has 8 classes, but 7 names"):
        opened(tmp_path, NAMES[:7])
    (tmp_path / "synset.txt").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match=r"synset\.txt: is no UTF-8 text"):
        opened(tmp_path)
    (tmp_path / "val.rec").write_bytes(b"")
    with pytest.raises(DataError, match=r"val\.rec: .*empty"):
        opened(tmp_path)


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=f"{tmp_path}: red/a.png: the image cannot be decoded"):
        validate(colour_model(tmp_path), tmp_path)
    with RecordWriter(tmp_path / "val.rec", tmp_path / "val.idx") as writer:
        for key, label in enumerate((1, 0, 2, 3)):
            writer.write(100 + key, label, painted(label) if label != 3 else b"no image")
    images = open_data(colour_model(tmp_path), None)
    for some in (images, images.of_classes(["yellow"], tmp_path / "classes.txt")):
        with pytest.raises(DataError, match=r"val\.rec: record 3: the image cannot be decoded"):
            validate(colour_model(tmp_path), some)


def manifest(folder: Path, num_records: int, layout: str = "kaggle") -> None:
    split = Split("val.rec", "val.idx", num_records, 8, 1, 2, 1, "")
    facts = ("0", {"layout": layout}, {}, {"val": split}, "", 8, "", {}, (), ())
    (folder / "manifest.json").write_text(Manifest(*facts).to_json())


def test_number_of_records_is_held_against_the_manifest(folder: Path) -> None:
    manifest(folder, 12)
    with pytest.raises(DataError, match="its index has 11 records, but its manifest says 12"):
        opened(folder)


def test_ilsvrc2012_has_50000_validation_images(folder: Path) -> None:
    manifest(folder, 11)
    validation = validate(colour_model(folder))
    assert validation.as_json()["num_missing"] == 49989
    gap = "val.rec lacks 49989 of the 50000 validation images of ILSVRC2012"
    assert gap in validation.summary().splitlines()[-1]
    manifest(folder, 11, "class-folders")
    assert "not comparable" not in validate(colour_model(folder)).summary()


def test_classes_of_imagenet_are_held_to_its_number_of_images(tmp_path: Path) -> None:
    ids = list(imagenet_words())
    write_records(tmp_path / "records", COLOURS, LABELS)
    (tmp_path / "records" / "synset.txt").write_text("\n".join(sorted(ids)) + "\n")
    for name in ids:
        (tmp_path / "folders" / name).mkdir(parents=True)
    (tmp_path / "folders" / ids[3] / "a.png").write_bytes(painted(0))
    for name, number in (("records", 11), ("folders", 1)):
        found = open_validation_set(tmp_path / name, (), 1000)
        assert found.num_missing == 50000 - number
    found.num_missing = -10
    assert found.gap == "has 10 images more than the 50000 validation images of ILSVRC2012"
    (tmp_path / "folders" / ids[4]).rmdir()  # some of the classes are another set, such as -A or -R
    assert open_validation_set(tmp_path / "folders", (), 1000).num_missing == 0


def test_images_held_out_of_the_training_images_are_complete(tmp_path: Path) -> None:
    write_records(tmp_path, COLOURS, LABELS)
    (tmp_path / "synset.txt").write_text("\n".join(imagenet_words()))
    split = Split("val.rec", "val.idx", 11, 8, 1, 2, 1, "")
    facts = ("0", {"layout": "kaggle"}, {}, {"minival": split}, "", 8, "", {}, (), ())
    (tmp_path / "manifest.json").write_text(Manifest(*facts).to_json())
    assert open_validation_set(tmp_path, (), 1000).num_missing == 0


def test_published_accuracies_are_of_50000_images(folder: Path) -> None:
    with pytest.raises(DataError, match="of the 50000 validation images of ILSVRC2012, not of 11"):
        published_expectation(colour_model(folder), open_data(colour_model(folder), None), 0.01)


def test_a_diverged_network_is_not_scored(folder: Path) -> None:
    model = colour_model(folder)
    object.__setattr__(model, "predict", lambda images: np.full((len(images), 8), np.nan))
    with pytest.raises(VerificationError, match="not finite"):
        validate(model)


def test_report_files(folder: Path) -> None:
    validation = validate(colour_model(folder))
    write_report(validation, folder / "report")
    assert json.loads((folder / "report" / "metrics.json").read_text())["num_top1"] == 8
    rows = (folder / "report" / "predictions.csv").read_text().splitlines()
    assert len(rows) == 12
    assert rows[3].startswith("102,3,yellow,")
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert "72.73%" in page
    assert page.count("<img ") == 6  # three confused pairs and three mistakes
    # The third image is one of them, by the key that the table has.
    assert "<small>record 102</small>" in page and "record 2<" not in page
    assert 'alt="record 102, labelled yellow"' in page


def test_report_says_under_which_conditions(folder: Path) -> None:
    manifest(folder, 11)
    sets = [[label] for label in LABELS]
    sets[2], sets[10] = [3, 2], []
    (folder / "real.json").write_text(json.dumps(sets))
    model = dataclasses.replace(colour_model(folder), calibrated_on="100 images of train.rec")
    options = Options(restricted=True, label_sets=folder / "real.json")
    validation = validate(model, None, options)
    write_report(validation, folder / "report")
    page = (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert f"<h1>{folder}/model.params (int8)</h1>" in page
    for name, value in (
        ("precision", "8-bit integers, calibrated on 100 images of train.rec"),
        ("answers", "only 8 of 8 classes"),
        ("any right label", "top-1 80.00% (8 of 10), top-5 80.00% (8 of 10)"),
        ("not comparable", "val.rec lacks 49989 of the 50000 validation images of ILSVRC2012"),
    ):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page
    assert "answers: only 8 of 8 classes" in validation.summary()


def test_report_of_a_folder_names_the_files(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "a.png").write_bytes(painted(1))
    write_report(validate(colour_model(tmp_path), tmp_path), tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "<small>red/a.png</small>" in page


def test_comparison_names_the_images_that_changed_sides(folder: Path) -> None:
    comparison = compare(colour_model(folder), colour_model(folder, blind=[4, 7]))
    content = comparison.as_json()
    assert content["only_first"] == [104, 107]
    assert content["only_second"] == []
    assert content["num_agreeing"] == 9
    assert content["mcnemar"] == {"p_value": pytest.approx(0.5), "method": "exact"}
    assert "difference of top-1 -18.18 points; right in one only: 2 and 0 of 11" in (
        comparison.summary()
    )
    assert comparison.summary().splitlines()[-1].endswith("model.params only: 104, 107")


def test_comparison_names_ten_images_at_most(tmp_path: Path) -> None:
    write_records(tmp_path, [4] * 12, [4] * 12)
    sides = compare(colour_model(tmp_path, blind=[4]), colour_model(tmp_path))
    keys = ", ".join(str(key) for key in range(100, 110))
    assert sides.summary().splitlines()[4:] == [
        f"right in {tmp_path}/model.params only: {keys} and 2 more"
    ]


def test_models_that_number_classes_differently_are_not_compared(folder: Path) -> None:
    (folder / "synset.txt").write_text("\n".join(NAMES))
    other = colour_model(folder, names=NAMES[::-1])
    with pytest.raises(DataError, match="numbers its classes in another order"):
        compare(colour_model(folder), other)


def test_audit_has_every_preprocessing_and_its_own_first(folder: Path) -> None:
    table = audit(colour_model(folder))
    rows = [(row.name, row.transform.short_side) for row in table.rows]
    assert rows[0] == ("center-crop", 40)
    free = {name for name, how in PREPROCESSINGS.items() if how.short_side is None}
    sizes = {(name, side) for name in free for side in (37, 32)}
    fixed = {("squash-256", 256), ("squash-224", 224), ("imagenet-preprocess", 256)}
    assert set(rows[1:-1]) == sizes | fixed
    assert len(rows) == 2 + len(sizes | fixed)  # none twice
    assert rows[-1] == ("ImageRecordIter", 40)
    assert {row.predictions.counts()[:2] for row in table.rows} == {(11, 8)}
    assert {row.p_value for row in table.rows} == {1.0}
    assert len(table.summary().splitlines()) == len(rows) + 2
    assert [row["num_top1"] for row in table.as_json()["rows"]] == [8] * len(rows)


def test_audit_at_224_px_has_each_of_the_origins_once(folder: Path) -> None:
    model = colour_model(folder)
    object.__setattr__(model.config.data, "resolution", 224)
    object.__setattr__(model.config.validation, "short_side", None)
    rows = [(row.name, row.transform.short_side) for row in audit(model).rows]
    assert ("squash", 256) in rows and ("squash", 224) in rows
    assert not {"squash-256", "squash-224"} & {name for name, _ in rows}


def test_audit_pairs_answers_with_images_in_whatever_order_they_are_read(folder: Path) -> None:
    keys, offsets = read_index(folder / "val.idx")
    order = [3, 0, 10, 7, 1, 2, 9, 4, 8, 6, 5]
    write_index(folder / "val.idx", keys[order], offsets[order])
    first, *_, last = audit(colour_model(folder)).rows
    assert first.predictions.classes[:, 0].tolist() == [COLOURS[place] for place in order]
    assert last.predictions.classes[:, 0].tolist() == first.predictions.classes[:, 0].tolist()
    for name in ("labels", "ranks", "losses"):
        found, expected = (getattr(row.predictions, name) for row in (last, first))
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_audit_says_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "red" / "a.png"
    path.parent.mkdir()
    path.write_bytes(painted(0))
    table = audit(colour_model(tmp_path), tmp_path)
    assert table.summary().endswith("without ImageRecordIter, which reads record files alone")
    with RecordWriter(tmp_path / "val.rec", tmp_path / "val.idx") as writer:
        writer.write(0, 0, cv2.imencode(".bmp", np.zeros((40, 40, 3), np.uint8))[1].tobytes())
    table = audit(colour_model(tmp_path))
    assert table.note == "without ImageRecordIter: record 0 is neither JPEG nor PNG"
    assert "ImageRecordIter" not in {row.name for row in table.rows}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    write_records(folder, COLOURS, LABELS)
    model = colour_model(folder)
    validation = validate(model)
    write_report(validation, folder / "report")
    written = json.loads((folder / "report" / "metrics.json").read_text(encoding="utf-8"))
    assert written["data"] == str(folder / "val.rec")
    assert r"caf\udce9" in (folder / "report" / "report.html").read_text(encoding="utf-8")
    assert audit(model).note == (
        "without ImageRecordIter: MXNet cannot be told a path that is no UTF-8 text"
    )


def test_audit_of_resolutions_keeps_the_part_of_the_image(folder: Path) -> None:
    rows = audit(colour_model(folder), resolutions=[64, 96]).rows
    sizes = [(row.transform.short_side, row.transform.resolution) for row in rows]
    assert sizes == [(40, 32), (80, 64), (120, 96)]


def write_folders(folder: Path, labels_by_name: dict[str, int]) -> None:
    for name, label in labels_by_name.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_bytes(painted(label))


UNNAMED = "(the model does not name its classes)"


@pytest.mark.parametrize("numbers", [range(12), (3, 10, 2)])
def test_numbered_folders_and_their_records_have_the_same_labels(
    numbers: Iterable[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ImageNetV2's 0 to 999, or a few of them, for a model that knows no names."""
    source = tmp_path / "source"
    write_folders(source, {str(number): number % 8 for number in numbers})
    prepare(PrepareOptions(source, tmp_path / "records", split="val"))
    for data in (source, tmp_path / "records"):
        capsys.readouterr()
        found = open_validation_set(data, (), 12)
        assert sorted(found.labels.tolist()) == sorted(numbers)
        for position, label in enumerate(found.labels.tolist()):
            assert decode(found.image(position))[0, 0].tolist() == COLOURS_OF[label % 8].tolist()
        assert UNNAMED in capsys.readouterr().err


def test_folders_of_a_model_without_names_are_taken_in_their_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folders(tmp_path, {name: label for label, name in enumerate(sorted(NAMES))})
    assert open_validation_set(tmp_path, (), 8).labels.tolist() == list(range(8))
    said = f"{tmp_path}: its classes are taken for the model's, in the same order {UNNAMED}"
    assert said in capsys.readouterr().err


def test_records_without_names_for_a_model_with_names(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(folder)
    said = "val.rec: has no synset.txt; its labels are taken for the model's"
    assert said in capsys.readouterr().err


def test_a_folder_with_splits_is_validated_by_its_val(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folders(tmp_path / "data" / "train", {"red": 1, "blue": 1})
    write_folders(tmp_path / "data" / "val", {"red": 0, "blue": 2})
    (tmp_path / "data" / "val" / "green").mkdir()
    (tmp_path / "data" / "val" / "red" / "notes.txt").write_text("no image")
    capsys.readouterr()
    found = open_validation_set(tmp_path, NAMES, 8)
    assert found.keys == ["blue/a.png", "red/a.png"]
    assert found.labels.tolist() == [2, 0]
    said = "ignored, because they are no images: val/red/notes.txt (1); class folders without"
    assert f"{said} images: green (1)" in capsys.readouterr().err


def test_accents_of_folders_and_of_names_may_be_written_in_two_ways(tmp_path: Path) -> None:
    write_folders(tmp_path, {"cafe\u0301": 0})
    names = ("caf\u00e9", *NAMES[1:])
    assert open_validation_set(tmp_path, names, 8).labels.tolist() == [0]
