"""Preparing records: the same ones from every form of a data set, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, Callable

import cv2
import mini_imagenet as mini
import numpy as np
import pytest
from PIL import Image
from preparing import contents, records, run

from mobilenet.data.class_folder_labels import imagenet_words
from mobilenet.data.manifest import Manifest
from mobilenet.data.record_file import RecordFile
from mobilenet.data.record_folder import orientation_warning
from mobilenet.errors import ConfigError, DataError
from mobilenet.packing import ilsvrc2012
from mobilenet.packing.prepare import PrepareOptions
from mobilenet.packing.verify import verify

FORMS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "official tars": ("ilsvrc-tars", mini.official_tars),
    "kaggle": ("kaggle", mini.kaggle),
    "kaggle, inner folder": ("kaggle", lambda folder: mini.kaggle(folder) / "ILSVRC/Data/CLS-LOC"),
    "folders": ("split-folders", mini.split_folders),
    "folders in a folder": (
        "split-folders",
        lambda folder: mini.split_folders(folder / "a" / "b") and folder,
    ),
    "tar": ("split-folders", mini.tar),
    "tar of ./": ("split-folders", lambda folder: mini.tar(folder, "./")),
    "tar of a folder": ("split-folders", lambda folder: mini.tar(folder, "imagenet/")),
    "tar.gz": ("split-folders", lambda folder: mini.tar(folder, "./imagenet/", "w:gz")),
    "lists": ("im2rec-list", mini.lists),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("reference")
    run(mini.split_folders(folder / "source"), folder / "output")
    return contents(folder / "output")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_records(
    form: str, tmp_path: Path, reference: dict[str, bytes]
) -> None:
    layout, build = FORMS[form]
    found = run(build(tmp_path / "source"), tmp_path / "output")
    assert found.source["layout"] == layout
    assert found.num_classes == 1000
    output = contents(tmp_path / "output")
    assert output.keys() == reference.keys()  # and no temporary file is left
    for name in reference.keys() - {"manifest.json"}:
        assert output[name] == reference[name], name


def test_records_are_what_the_files_are(tmp_path: Path) -> None:
    run(mini.split_folders(tmp_path / "source"), tmp_path / "output")
    for split, images in (("train", mini.train_images()), ("val", mini.val_images())):
        expected = {(mini.labels()[name.split("/")[0]], image) for name, image in images.items()}
        found = records(tmp_path / "output" / f"{split}.rec")
        assert [key for key, _, _ in found] == list(range(len(images)))
        assert {(label, image) for _, label, image in found} == expected


def test_validation_images_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    run(mini.official_tars(tmp_path / "source"), tmp_path / "output")
    found = records(tmp_path / "output" / "val.rec")
    assert [label for _, label, _ in found] == [mini.CLASSES[i][0] for i in mini.VAL_CLASSES]


def test_training_images_are_shuffled_by_the_seed(tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    for seed in (0, 1):
        run(source, tmp_path / str(seed), seed=seed)
    zero, one = (records(tmp_path / str(seed) / "train.rec") for seed in (0, 1))
    assert [label for _, label, _ in zero] != sorted(label for _, label, _ in zero)
    assert [image for _, _, image in zero] != [image for _, _, image in one]
    assert {image for _, _, image in zero} == {image for _, _, image in one}
    val = [contents(tmp_path / str(seed))["val.rec"] for seed in (0, 1)]
    assert val[0] == val[1]


def test_same_bytes_whatever_the_number_of_workers(tmp_path: Path) -> None:
    source = mini.write_files(
        tmp_path / "source",
        {f"{name}/{i}.jpg": mini.jpeg(3, i, size=(90, 70)) for name in "ab" for i in range(60)},
    )
    outputs = []
    for workers in (1, 2, 4):
        output = tmp_path / str(workers)
        run(source, output, workers=workers, short_side=32, minival=5)
        outputs.append(contents(output))
    assert outputs[0] == outputs[1] == outputs[2]
    assert {"train.rec", "minival.rec", "manifest.json"} < outputs[0].keys()


def test_synset_has_a_line_for_every_class_with_its_words(reference: dict[str, bytes]) -> None:
    lines = reference["synset.txt"].decode().splitlines()
    assert len(lines) == 1000
    assert lines[0] == "n01440764 tench, Tinca tinca"
    assert lines[281].startswith("n02123045 tabby")
    assert lines[999].startswith("n15075141 toilet tissue")


def test_manifest_is_true(tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    (source / "train" / mini.CLASSES[0][1] / "readme.txt").write_bytes(b"hello")
    (source / "labels").mkdir()
    found = run(source, tmp_path / "output", seed=7)
    assert found == Manifest.read(tmp_path / "output" / "manifest.json")
    written = json.loads((tmp_path / "output" / "manifest.json").read_text())
    assert written["version"] == 1
    assert written["options"]["seed"] == 7
    output = contents(tmp_path / "output")
    assert written["synset_sha256"] == hashlib.sha256(output["synset.txt"]).hexdigest()
    assert written["splits"]["train"] == {
        "record_file": "train.rec",
        "index_file": "train.idx",
        "num_records": 18,
        "num_classes": 3,
        "min_per_class": 0,  # of 997 classes there is none
        "max_per_class": 7,
        "bytes": len(output["train.rec"]),
        "sha256": hashlib.sha256(output["train.rec"]).hexdigest(),
    }
    assert written["oddities"] == {}
    assert written["ignored"] == ["labels/", f"train/{mini.CLASSES[0][1]}/readme.txt"]
    assert verify(tmp_path / "output", deep=True).sound


def test_minival_is_held_out_of_each_class(tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    whole = run(source, tmp_path / "whole")
    found = run(source, tmp_path / "output", minival=2)
    assert found.splits["minival"].num_records == 6
    minival, train, everything = (
        records(path)
        for path in (
            tmp_path / "output" / "minival.rec",
            tmp_path / "output" / "train.rec",
            tmp_path / "whole" / "train.rec",
        )
    )
    assert sorted(label for _, label, _ in minival) == [0, 0, 281, 281, 999, 999]
    held_out = {image for _, _, image in minival}
    assert [i for _, _, i in train] == [i for _, _, i in everything if i not in held_out]
    assert whole.splits["val"] == found.splits["val"]


@pytest.mark.parametrize("number", [5, 6, 100])
def test_minival_leaves_no_class_without_images(number: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leaves \d of 3 classes without any; the smallest has 5"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "output", minival=number)


def test_short_side_makes_smaller_and_never_larger(tmp_path: Path) -> None:
    sizes = {"wide": (60, 90), "high": (90, 60), "small": (20, 100), "exact": (32, 50)}
    images = {f"c/{name}.jpg": mini.jpeg(4, size=size) for name, size in sizes.items()}
    run(mini.write_files(tmp_path / "s", images), tmp_path / "o", short_side=32, split="val")
    found = {}
    for (name, image), (_, _, stored) in zip(
        sorted(images.items()), records(tmp_path / "o" / "val.rec")
    ):
        found[name] = cv2.imdecode(np.frombuffer(stored, np.uint8), 1).shape[:2]
        assert (stored == image) == (name in ("c/small.jpg", "c/exact.jpg"))
    assert found == {
        "c/wide.jpg": (32, 48),
        "c/high.jpg": (48, 32),
        "c/small.jpg": (20, 100),
        "c/exact.jpg": (32, 50),
    }


def test_quality_decides_about_the_size(tmp_path: Path) -> None:
    source = mini.write_files(tmp_path / "s", {"c/x.jpg": mini.jpeg(4, size=(200, 200))})
    sizes = [
        run(source, tmp_path / str(q), short_side=100, quality=q).splits["train"].bytes
        for q in (50, 95)
    ]
    assert sizes[0] < 0.7 * sizes[1]


def test_one_split_alone(tmp_path: Path) -> None:
    source = mini.official_tars(tmp_path / "source")
    (source / "ILSVRC2012_img_train.tar").write_bytes(b"not looked at")
    assert run(source, tmp_path / "o1", split="val").splits.keys() == {"val"}
    tree = mini.write_files(
        tmp_path / "tree", {f"train/{k}": v for k, v in mini.train_images().items()}
    )
    assert run(tree, tmp_path / "o2").splits.keys() == {"train"}
    with pytest.raises(DataError, match="has no split 'val', only train"):
        run(tree, tmp_path / "o3", split="val")


def test_a_tree_without_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = mini.write_files(tmp_path / "source", mini.train_images())
    assert run(source, tmp_path / "o1", split="train").splits.keys() == {"train"}
    assert "taken for the split 'train'" in capsys.readouterr().err
    assert run(source, tmp_path / "o2", split="val").splits.keys() == {"val"}


def test_counts_that_are_not_ilsvrc2012s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = run(mini.official_tars(tmp_path / "source"), tmp_path / "output")
    warnings = [
        "train has 18 images of 3 classes, but ILSVRC2012 has 1,281,167 of 1,000",
        "val has 5 images of 3 classes, but ILSVRC2012 has 50,000 of 1,000",
    ]
    said = capsys.readouterr().err
    assert all(f"warning: {warning}\n" in said for warning in warnings)
    assert manifest.warnings == warnings
    assert Manifest.read(tmp_path / "output" / "manifest.json").warnings == warnings


@pytest.mark.parametrize(
    ("num_classes", "warnings"),
    [
        (500, []),
        (501, ["train has 501 images of 501 classes, but ILSVRC2012 has 1,281,167 of 1,000"]),
        (999, ["train has 999 images of 999 classes, but ILSVRC2012 has 1,281,167 of 1,000"]),
    ],
)
def test_class_folders_of_which_some_are_missing(
    num_classes: int, warnings: list[str], tmp_path: Path
) -> None:
    names, image = list(imagenet_words())[-num_classes:], mini.jpeg(0)
    tree = mini.write_files(tmp_path / "train", {f"{name}/1.JPEG": image for name in names})
    assert run(tree, tmp_path / "output").warnings == warnings


def test_a_manifest_from_before_there_were_warnings(tmp_path: Path) -> None:
    run(mini.split_folders(tmp_path / "source"), tmp_path / "output")
    path = tmp_path / "output" / "manifest.json"
    content = json.loads(path.read_text())
    del content["warnings"]
    path.write_text(json.dumps(content))
    assert Manifest.read(path).warnings == []


def test_checksum(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"img_train\.tar: its SHA-1 is .* original is 43eda4fe35c1"
    ):
        run(mini.official_tars(tmp_path / "tars"), tmp_path / "output", checksum=True)
    with pytest.raises(DataError, match="checksums are known of ILSVRC2012's tars alone"):
        run(mini.split_folders(tmp_path / "folders"), tmp_path / "output", checksum=True)


def test_checksum_of_the_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mini tars stand for the originals, which have 144 GB."""
    folder = mini.official_tars(tmp_path / "tars")
    sums = {tar: hashlib.sha1((folder / tar).read_bytes()).hexdigest() for tar in ilsvrc2012._SHA1}
    monkeypatch.setattr(ilsvrc2012, "_SHA1", sums)
    assert run(folder, tmp_path / "output", checksum=True).splits["val"].num_records == 5


def test_tars_may_be_named_one_by_one(tmp_path: Path, reference: dict[str, bytes]) -> None:
    folder = mini.official_tars(tmp_path / "source")
    tars = tuple(folder / f"ILSVRC2012_img_{split}.tar" for split in ("train", "val"))
    run(tars, tmp_path / "output")
    assert contents(tmp_path / "output")["val.rec"] == reference["val.rec"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 0}, "quality is 0; it must be from 1 to 100"),
        ({"short_side": 0}, "short_side is 0; it must be from 1 to 65500"),
        ({"short_side": -1}, "short_side is -1"),
        ({"minival": -1}, "minival is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": -1}, "workers is -1"),
        ({"split": "test"}, "split is 'test'"),
        ({"source": ()}, "source is empty"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        PrepareOptions(**{"source": tmp_path, "output": tmp_path, **options})


@pytest.mark.shared_data
def test_tiny_imagenet(shared: Path, tmp_path: Path) -> None:
    found = run(shared / "data" / "tiny-imagenet-20.tar", tmp_path / "output")
    assert found.num_classes == 20
    assert [found.splits[split].num_records for split in ("train", "val")] == [10_000, 1_000]
    assert (found.splits["train"].min_per_class, found.splits["val"].max_per_class) == (500, 50)
    assert set(RecordFile(tmp_path / "output" / "train.rec").labels()) == set(range(20))
    assert verify(tmp_path / "output", deep=True).sound


@pytest.mark.shared_data
def test_imagenet_sample(shared: Path, tmp_path: Path) -> None:
    source = shared / "data" / "imagenet-sample"
    run(source, tmp_path / "output", synset=source / "synset.txt", split="val")
    lines = (source / "synset.txt").read_text().splitlines()
    files = sorted((source / "images").glob("*/*"), key=lambda path: path.name)
    found = records(tmp_path / "output" / "val.rec")
    assert len(found) == len(files) == 300
    for (_, label, image), file in zip(found, files):
        assert lines[label].startswith(file.parent.name)
        assert image == file.read_bytes()


def rotated(orientation: int = 6) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_orientation_is_kept_of_all_but_imagenets_classes(tmp_path: Path) -> None:
    for name, chosen, expected in (
        ("dog", None, "apply"),
        ("dog", "ignore", "ignore"),
        ("n01440764", None, "ignore"),
        ("n01440764", "apply", "apply"),
    ):
        folder = tmp_path / f"{name} {chosen}"
        source = mini.write_files(folder / "source", {f"{name}/1.jpg": rotated()})
        manifest = run(source, folder / "output", exif_orientation=chosen, split="train")
        assert manifest.exif_orientation == expected
        ((_, _, stored),) = records(folder / "output" / "train.rec")
        assert (stored == rotated()) == (expected == "apply")
        warnings = {w: orientation_warning(folder / "output", w) for w in ("ignore", "apply")}
        assert warnings[expected] == ""
        said = "turned only" if expected == "apply" else "took their EXIF orientation away"
        assert said in warnings["apply" if expected == "ignore" else "ignore"]


@pytest.mark.parametrize("field", ["num_classes", "splits", "oddities", "source"])
def test_a_manifest_of_other_types_is_none(field: str, tmp_path: Path) -> None:
    run(mini.split_folders(tmp_path / "source"), tmp_path / "output")
    path = tmp_path / "output" / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, field: "12"}))
    with pytest.raises(DataError, match="is not a manifest that prepare wrote"):
        Manifest.read(path)
    content["splits"]["val"]["bytes"] = "12"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"is not a manifest that prepare wrote \(bytes is '12'\)"):
        Manifest.read(path)
    path.write_text("[" * 200_000)
    with pytest.raises(DataError, match="is not a manifest that prepare wrote"):
        Manifest.read(path)
