"""What becomes of damaged and unusual images while they are packed."""

from __future__ import annotations

from pathlib import Path

import cv2
import mini_imagenet as mini
import mxnet as mx
import numpy as np
import pytest
from preparing import contents, records, run

from mobilenet.errors import DataError

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
    run(source, tmp_path / "output", val=0)
    said = capfd.readouterr().err
    assert said.count("extraneous bytes") == 1
    assert "the decoder said 50 times: Corrupt JPEG data: N extraneous bytes" in said


def test_nothing_that_decodes(tmp_path: Path) -> None:
    source = mini.write_files(tmp_path / "source", {"c/1.jpg": b"?", "c/2.jpg": b"!"})
    with pytest.raises(DataError, match="none of the 2 images decodes"):
        run(source, tmp_path / "output", skip_bad=True, val=0)
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
