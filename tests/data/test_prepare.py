"""Preparing records: the same ones from every form of a data set, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import cv2
import mini_imagenet as mini
import mxnet as mx
import numpy as np
import pytest

from mobilenet.data.manifest import Manifest
from mobilenet.data.recordio import RecordFile
from mobilenet.errors import ConfigError, DataError
from mobilenet.prepare import PrepareOptions, prepare
from mobilenet.verify import verify

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


def run(source: Any, output: Path, **options: Any) -> Manifest:
    return prepare(PrepareOptions(source, output, **options))


def records(path: Path) -> list[tuple[int, int, bytes]]:
    """Key, label and image of every record, read by MXNet."""
    reader = mx.recordio.MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "r")
    found = []
    for key in reader.keys:
        header, image = mx.recordio.unpack(reader.read_idx(key))
        assert header.id == key
        found.append((key, int(header.label), image))
    reader.close()
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
        run(source, output, workers=workers, short_side=32, minival=10)
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


def test_minival_is_held_out_evenly(tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    whole = run(source, tmp_path / "whole")
    found = run(source, tmp_path / "output", minival=6)
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


@pytest.mark.parametrize("number", [18, 19, 16])
def test_minival_leaves_no_class_without_images(number: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"leaves \d classes without any"):
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


def test_a_second_run_does_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = mini.split_folders(tmp_path / "source")
    first = run(source, tmp_path / "output", workers=1)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "output").iterdir()}
    capsys.readouterr()
    assert run(source, tmp_path / "output", workers=2) == first
    assert "already prepared" in capsys.readouterr().err
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "output").iterdir()}


def test_a_second_run_with_other_options_is_refused(tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    run(source, tmp_path / "output")
    before = contents(tmp_path / "output")
    with pytest.raises(DataError, match="other options: seed is 0 there and 1 now"):
        run(source, tmp_path / "output", seed=1)
    other = mini.split_folders(tmp_path / "other")
    with pytest.raises(DataError, match=r"another source: paths is .*source"):
        run(other, tmp_path / "output")
    (source / "train" / mini.CLASSES[0][1] / "more.JPEG").write_bytes(mini.jpeg(9))
    with pytest.raises(DataError, match="another source: fingerprint"):
        run(source, tmp_path / "output")
    assert contents(tmp_path / "output") == before


def test_a_changed_synset_is_another_source(tmp_path: Path) -> None:
    source = mini.write_files(
        tmp_path / "source", {"a/1.jpg": mini.jpeg(1), "b/1.jpg": mini.jpeg(2)}
    )
    synset = tmp_path / "synset.txt"
    synset.write_text("a\nb\n")
    run(source, tmp_path / "output", synset=synset)
    synset.write_text("b\na\n")
    with pytest.raises(DataError, match="another source: fingerprint"):
        run(source, tmp_path / "output", synset=synset)


def test_the_output_may_lie_within_the_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = mini.split_folders(tmp_path / "source")
    assert run(source, source / "records").ignored == ["records/"]
    run(source, source / "records")
    assert "already prepared" in capsys.readouterr().err
    with pytest.raises(DataError, match="is the source itself"):
        run(source, source / "val" / "..")


def test_records_of_others_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "train.rec").write_bytes(b"precious")
    with pytest.raises(DataError, match=r"has a train\.rec of other making"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "output")
    assert contents(tmp_path / "output") == {"train.rec": b"precious"}


def test_a_missing_record_file_is_noticed(tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    run(source, tmp_path / "output")
    (tmp_path / "output" / "val.idx").unlink()
    with pytest.raises(DataError, match=r"val\.idx is missing"):
        run(source, tmp_path / "output")


BAD = {
    "empty": (b"", "is empty"),
    "page": (b"<html>not found</html>", "is no image in a known format"),
    "cut": (mini.jpeg(5)[:-30], "is a JPEG that OpenCV does not decode, or damaged or cut off"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_image_that_does_not_decode_ends_the_run(kind: str, tmp_path: Path) -> None:
    source = mini.split_folders(tmp_path / "source")
    image, problem = BAD[kind]
    name = mini.CLASSES[1][1]
    (source / "train" / name / "bad.JPEG").write_bytes(image)
    with pytest.raises(DataError, match=f"{name}/bad.JPEG {problem}.*--skip-bad"):
        run(source, tmp_path / "output")
    assert contents(tmp_path / "output") == {}
    found = run(source, tmp_path / "output", skip_bad=True)
    assert [(skip["split"], skip["image"]) for skip in found.skipped] == [
        ("train", f"{name}/bad.JPEG")
    ]
    assert problem in found.skipped[0]["problem"]
    assert found.splits["train"].num_records == 18
    assert "left out: 1 images" in found.summary()


def test_two_hundred_damaged_images(tmp_path: Path) -> None:
    """Each is left out, or packed as something that every reader can decode."""
    rng = np.random.default_rng(11)
    images = {}
    for number in range(200):
        kind = (".jpg", ".png", ".webp", ".bmp", ".tiff")[number % 5]
        pixels = rng.integers(0, 256, (24, 31, 3), dtype=np.uint8)
        image = bytearray(cv2.imencode(kind, pixels)[1].tobytes())
        if number % 3 == 0:
            del image[rng.integers(len(image)) :]
        for position in rng.integers(len(image) or 1, size=1 + number % 7):
            image[position : position + 1] = bytes([rng.integers(256)])
        images[f"c/{number}{kind}"] = bytes(image)
    source = mini.write_files(tmp_path / "source", images)
    found = run(source, tmp_path / "output", split="val", skip_bad=True)
    assert len(found.skipped) + found.splits["val"].num_records == 200
    assert 20 < len(found.skipped) < 180
    for _, _, image in records(tmp_path / "output" / "val.rec"):
        assert cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) is not None
        assert mx.image.imdecode(image).shape[2] == 3


def test_decoders_do_not_flood(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = mini.jpeg(6)
    noisy = image[:-2] + b"some bytes more" + image[-2:]
    source = mini.write_files(tmp_path / "source", {f"c/{i}.jpg": noisy for i in range(50)})
    run(source, tmp_path / "output")
    said = capfd.readouterr().err
    assert said.count("extraneous bytes") == 1
    assert "the decoder said 50 times: Corrupt JPEG data: N extraneous bytes" in said


def test_nothing_that_decodes(tmp_path: Path) -> None:
    source = mini.write_files(tmp_path / "source", {"c/1.jpg": b"?", "c/2.jpg": b"!"})
    with pytest.raises(DataError, match="none of the 2 images decodes"):
        run(source, tmp_path / "output", skip_bad=True)
    assert contents(tmp_path / "output") == {}


def test_oddities_are_counted_and_listed(tmp_path: Path) -> None:
    gray = cv2.imencode(".png", np.zeros((9, 9), np.uint8))[1].tobytes()
    source = mini.write_files(
        tmp_path / "source", {"c/1.JPEG": gray, "c/2.png": gray, "c/3.jpg": mini.jpeg(1)}
    )
    found = run(source, tmp_path / "output", split="val")
    assert found.oddities == {"PNG named .jpeg": 1, "grayscale": 2}
    assert (tmp_path / "output" / "oddities.tsv").read_text() == (
        "val\t0\tc/1.JPEG\tPNG named .jpeg, grayscale\nval\t1\tc/2.png\tgrayscale\n"
    )


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
    assert run(source, tmp_path / "o1").splits.keys() == {"train"}
    assert "taken for the split 'train'" in capsys.readouterr().err
    assert run(source, tmp_path / "o2", split="val").splits.keys() == {"val"}


def test_counts_that_are_not_ilsvrc2012s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(mini.official_tars(tmp_path / "source"), tmp_path / "output")
    said = capsys.readouterr().err
    assert "train has 18 images of 3 classes, but ILSVRC2012 has 1,281,167 of 1,000" in said
    assert "val has 5 images of 3 classes, but ILSVRC2012 has 50,000 of 1,000" in said


def test_checksum(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"img_train\.tar: its SHA-1 is .* original is 43eda4fe35c1"
    ):
        run(mini.official_tars(tmp_path / "tars"), tmp_path / "output", checksum=True)
    with pytest.raises(DataError, match="checksums are known of ILSVRC2012's tars alone"):
        run(mini.split_folders(tmp_path / "folders"), tmp_path / "output", checksum=True)


def test_tars_may_be_named_one_by_one(tmp_path: Path, reference: dict[str, bytes]) -> None:
    folder = mini.official_tars(tmp_path / "source")
    tars = tuple(folder / f"ILSVRC2012_img_{split}.tar" for split in ("train", "val"))
    run(tars, tmp_path / "output")
    assert contents(tmp_path / "output")["val.rec"] == reference["val.rec"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 0}, "quality is 0; it must be from 1 to 100"),
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


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match="file/output: cannot be written: Not a directory"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "file" / "output")


def test_a_full_disk_is_noticed_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only stand-in here: a file system of that size is not to be had in a test."""
    usage = shutil.disk_usage(tmp_path)._replace(free=5000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"need 0\.0 GB, and 0\.0 GB are free"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "output")


def test_a_disk_that_gets_full_leaves_nothing(tmp_path: Path) -> None:
    images = {f"c/{i}.jpg": mini.jpeg(7, i) for i in range(20)}
    source = mini.write_files(tmp_path / "source", images)
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "from mobilenet.cli import main\n"
        f"sys.exit(main(['prepare', '--source', {str(source)!r}, '--output', 'output']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert contents(tmp_path / "output") == {}


def test_another_process_is_preparing(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    descriptor = os.open(tmp_path / "output", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="another process is preparing"):
        run(mini.split_folders(tmp_path / "source"), tmp_path / "output")
    os.close(descriptor)
    run(mini.split_folders(tmp_path / "source"), tmp_path / "output")


def start(source: Path, output: Path) -> subprocess.Popen[bytes]:
    """Prepares in a process of its own, and waits until it is in the midst of it."""
    command = [sys.executable, "-m", "mobilenet", "prepare", "--source", source, "--output", output]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE)
    limit = time.monotonic() + 60
    while not any(path.stat().st_size for path in output.glob(".train.rec.*")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.01)
    return process


@pytest.fixture
def large_source(tmp_path: Path) -> Path:
    """Takes seconds to pack."""
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    image = cv2.imencode(".jpg", noise)[1].tobytes()
    first = mini.write_files(tmp_path / "large", {"c/0.jpg": image})
    for number in range(1, 400):
        os.link(first / "c/0.jpg", first / f"c/{number}.jpg")
    return first


def test_killed_in_the_midst(
    large_source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    process = start(large_source, output)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    left = contents(output)
    assert left
    assert all(name.startswith(".") for name in left)
    run(mini.split_folders(tmp_path / "source"), output)
    assert "removed what an interrupted run had left" in capsys.readouterr().err
    assert not any(name.startswith(".") for name in contents(output))
    assert len(RecordFile(output / "train.rec")) == 18


def test_interrupted_in_the_midst(large_source: Path, tmp_path: Path) -> None:
    process = start(large_source, tmp_path / "output")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert contents(tmp_path / "output") == {}


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
