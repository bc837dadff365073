"""Predictions for files: what they name, how they are found and written."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from colours import COLOURS, NAMES, colour_model, painted
from scipy import special

from mobilenet.errors import DataError, VerificationError
from mobilenet.inference.predict import (
    FORMATS,
    find_images,
    predict,
)
from mobilenet.skipped_items import SkippedItems


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{place}-{name}.png" for place, name in enumerate(NAMES)]
    for colour, path in enumerate(paths):
        path.write_bytes(painted(colour))
    return [str(path) for path in paths]


def test_each_image_gets_its_own_answer(tmp_path: Path, images: list[str]) -> None:
    order = [images[k] for k in (3, 0, 7, 1, 1, 6, 2)]  # more than one batch of 4
    answers = list(predict(colour_model(tmp_path), order))
    assert [answer.image for answer in answers] == order
    assert [answer.guesses[0].name for answer in answers] == [
        "yellow", "red", "white", "green", "green", "black", "blue"
    ]  # fmt: skip


def test_guesses_are_the_five_largest_probabilities(tmp_path: Path, images: list[str]) -> None:
    (answer,) = predict(colour_model(tmp_path), images[4:5])
    logits = -np.linalg.norm(COLOURS - COLOURS[4], axis=1) / 40
    expected = special.softmax(logits.astype(np.float64))
    assert len(answer.guesses) == 5
    for guess in answer.guesses:
        assert guess.name == NAMES[guess.label]
        assert guess.probability == pytest.approx(expected[guess.label], rel=1e-5)
    # Several colours are equally far away: only the probabilities have one order.
    given = [expected[guess.label] for guess in answer.guesses]
    assert given == pytest.approx(np.sort(expected)[:-6:-1], rel=1e-5)
    assert len({guess.label for guess in answer.guesses}) == 5


def test_sources_are_files_folders_patterns_and_lists(tmp_path: Path, images: list[str]) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "z.jpg").write_bytes(b"")
    (tmp_path / "inner" / "readme.txt").write_text("")
    assert find_images([images[2]], io.StringIO()) == [images[2]]
    everything = find_images([str(tmp_path)], io.StringIO())
    assert everything == [*images, str(tmp_path / "inner" / "z.jpg")]
    pattern = str(tmp_path / "[01]-*.png")
    listed = io.StringIO(f"{images[5]}\n\n {images[4]} \n")
    assert find_images([pattern, "-"], listed) == [images[0], images[1], images[5], images[4]]


def test_a_setting_among_the_images_is_recognised() -> None:
    with pytest.raises(DataError, match=r"a setting is given as --set data\.resolution=225$"):
        find_images(["data.resolution=225"], io.StringIO())


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(path).write_bytes(painted(2))
    os.mkfifo(tmp_path / "pipe.png")
    (answer,) = predict(colour_model(tmp_path), find_images([str(tmp_path)], io.StringIO()))
    assert (answer.image, answer.guesses[0].name) == (path, "blue")


@pytest.mark.parametrize("source", ["none.png", "*.nothing", "inner", "-"])
def test_a_source_without_images_is_a_mistake(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"^{source.replace('*', '[*]')}: no image has this name"):
        find_images([source], io.StringIO("\n"))


@pytest.mark.parametrize("content", [b"", b"no image"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.jpg: the image cannot be decoded"):
        list(predict(colour_model(tmp_path), [str(path)]))


def test_bad_files_are_left_out(
    tmp_path: Path, images: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In every batch of 4 one is bad, and a whole batch at the end."""
    Path(images[1]).write_bytes(b"no image")
    Path(images[6]).unlink()
    for path in (empty := [str(tmp_path / f"empty-{place}.png") for place in range(4)]):
        Path(path).write_bytes(b"")
    bad = SkippedItems("images", len(images) + len(empty))
    answers = list(predict(colour_model(tmp_path), [*images, *empty], bad))
    good = [place for place in range(8) if place not in (1, 6)]
    assert [answer.image for answer in answers] == [images[place] for place in good]
    assert [answer.guesses[0].name for answer in answers] == [NAMES[place] for place in good]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 6
    assert said[0].startswith(f"left out: {images[1]}: the image cannot be decoded")
    assert said[1].startswith(f"left out: {images[6]}: cannot be read: No such file")
    with pytest.raises(
        VerificationError, match=r"^6 of 12 images left out: .*1-green.*empty-3\.png$"
    ):
        bad.check()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jpg: cannot be read: No such file"):
        list(predict(colour_model(tmp_path), [str(tmp_path / "none.jpg")]))


def test_formats_say_the_same(tmp_path: Path, images: list[str]) -> None:
    answers = list(predict(colour_model(tmp_path, names=['a "b", c', *NAMES[1:]]), images[:3]))
    guesses = [(a.image, guess) for a in answers for guess in a.guesses]
    rows = list(csv.DictReader(io.StringIO("\n".join(FORMATS["csv"](answers)))))
    lines = [json.loads(line) for line in FORMATS["json"](answers)]
    from_json = [(line["image"], guess) for line in lines for guess in line["guesses"]]
    assert len(rows) == len(from_json) == 15
    for (image, guess), row, (json_image, read) in zip(guesses, rows, from_json):
        assert image == row["image"] == json_image
        assert guess.label == int(row["label"]) == read["label"]
        assert guess.name == row["name"] == read["name"]
        assert float(row["probability"]) == pytest.approx(guess.probability, rel=1e-5)
        assert read["probability"] == guess.probability
    table = list(FORMATS["table"](answers))
    assert len(table) == 18
    assert table[1].endswith('%  a "b", c')


def test_what_is_no_image_in_a_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a.jfif", "b.jpe", "c.heic", "d.avif", "e.HEIF", "f.txt", "g.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    found = find_images([str(tmp_path)], io.StringIO())
    assert [Path(path).name for path in found] == names[:5]
    said = f"warning: {tmp_path}: ignored, because they are no images: f.txt, g.mp4 (2)"
    assert said in capsys.readouterr().err
