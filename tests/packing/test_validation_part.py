"""The part of a plain folder of classes that `prepare` sets aside for validation."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import mini_imagenet as mini
import pytest
from preparing import contents, records, run

from mobilenet.data.record_file import RecordFile
from mobilenet.errors import ConfigError
from mobilenet.packing.folder_trees import File
from mobilenet.packing.image_order import Image, divided

NUM_PER_CLASS = {"ant": 10, "bee": 3, "cow": 2, "dog": 1}


def images(numbers: dict[str, int]) -> list[Image]:
    return [
        Image(f"{name}/{i}.jpg", label, File(name, 0, 0))
        for label, (name, number) in enumerate(numbers.items())
        for i in range(number)
    ]


def photos(folder: Path) -> Path:
    files = {
        f"{name}/{i}.jpg": mini.jpeg(10 * label + i)
        for label, (name, number) in enumerate(NUM_PER_CLASS.items())
        for i in range(number)
    }
    return mini.write_files(folder / "photos", files)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9])
def test_every_class_of_two_images_has_one_in_each_part(fraction: float) -> None:
    numbers = {f"class-{total}": total for total in range(1, 40)}
    everything = images(numbers)
    rest, val = divided(everything, fraction)
    assert sorted([*rest, *val]) == sorted(everything)
    num_rest, num_val = (Counter(image.label for image in part) for part in (rest, val))
    for label, total in enumerate(numbers.values()):
        assert num_rest[label] >= 1
        assert num_val[label] >= (total > 1)
        assert total < 3 or abs(num_val[label] - fraction * total) <= 1


def test_a_plain_folder_is_divided_and_prepare_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = run(photos(tmp_path), tmp_path / "out")
    assert {name: split.num_records for name, split in found.splits.items()} == {
        "train": 12,
        "val": 4,
    }
    said = capsys.readouterr().err
    assert "4 of 16 images, 20% of each class, are set aside for validation" in said
    assert "(1 classes have a single image, which stays for training)" in said
    parts = [
        {image for _, _, image in records(tmp_path / "out" / f"{split}.rec")}
        for split in ("train", "val")
    ]
    assert not parts[0] & parts[1]
    summary = found.summary()
    assert "train: 12 images of 4 classes" in summary
    assert "val: 4 images of 3 classes" in summary


def test_the_division_depends_on_seed_and_names_alone(tmp_path: Path) -> None:
    source = photos(tmp_path)
    for name, options in {
        "a": {},
        "b": {"workers": 3, "val": 0.2},
        "c": {"seed": 1},
    }.items():
        run(source, tmp_path / name, **options)
    a, b, c = (contents(tmp_path / name)["val.rec"] for name in "abc")
    assert a == b != c
    # An image more in one class moves none of the others from part to part.
    before = names_of(tmp_path / "a" / "val.rec")
    mini.write_files(source, {"bee/new.jpg": mini.jpeg(99)})
    run(source, tmp_path / "d")
    after = names_of(tmp_path / "d" / "val.rec")
    assert {n for n in before if "bee" not in n} == {n for n in after if "bee" not in n}


def names_of(path: Path) -> set[str]:
    return {*RecordFile(path).file_names}


def test_a_second_call_has_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = photos(tmp_path)
    first = run(source, tmp_path / "out")
    assert run(source, tmp_path / "out") == first
    assert run(source, tmp_path / "out", val=0.2) == first
    assert capsys.readouterr().err.count("already prepared") == 2


def test_none_and_other_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = photos(tmp_path)
    found = run(source, tmp_path / "none", val=0)
    assert found.splits.keys() == {"train"}
    assert "validation: no images, which `mobilenet train` needs" in found.summary()
    assert run(source, tmp_path / "half", val=0.5).splits["val"].num_records == 8
    # Training images alone are divided when that is asked for.
    alone = mini.write_files(
        tmp_path / "alone", {f"train/a/{i}.jpg": mini.jpeg(i) for i in range(5)}
    )
    assert run(alone, tmp_path / "whole").splits.keys() == {"train"}
    assert run(alone, tmp_path / "divided", val=0.4).splits["val"].num_records == 2
    for wrong in (-0.1, 0.95, math.nan):
        with pytest.raises(ConfigError, match=r"val is .*; it must be from 0 to 0\.9"):
            run(source, tmp_path / "out", val=wrong)
    with pytest.raises(ConfigError, match="--val has no effect: the source has validation images"):
        run(mini.split_folders(tmp_path / "split"), tmp_path / "out", val=0.2)


def test_single_images_leave_nothing_for_validation(tmp_path: Path) -> None:
    source = mini.write_files(tmp_path / "photos", {f"{c}/1.jpg": mini.jpeg(1) for c in "ab"})
    assert run(source, tmp_path / "out").splits.keys() == {"train"}


def test_some_of_imagenets_classes_are_classes_of_their_own(tmp_path: Path) -> None:
    source = mini.write_files(tmp_path / "photos", mini.train_images())
    found = run(source, tmp_path / "out")
    assert (found.num_classes, found.exif_orientation) == (3, "apply")
    assert run(source, tmp_path / "train", split="train").num_classes == 1000


def test_records_know_the_names_of_their_files(tmp_path: Path) -> None:
    run(photos(tmp_path), tmp_path / "out")
    path = tmp_path / "out" / "train.rec"
    opened = RecordFile(path)
    for position, name in enumerate(opened.file_names):
        assert bytes(opened.image(position)) == (tmp_path / "photos" / name).read_bytes()
        assert opened.name(position) == f"record {position} ({name})"
    names = path.with_suffix(".tsv")
    lines = names.read_text().splitlines(keepends=True)
    for other in (lines[1:], [*lines, lines[0]], ["0\n", *lines[1:]]):
        names.write_text("".join(other))
        assert RecordFile(path).name(0) == "record 0"
    names.unlink()
    assert RecordFile(path).name(0) == "record 0"
