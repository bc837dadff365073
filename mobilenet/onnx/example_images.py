"""Images for verification, calibration and test data: real ones from the disk, and random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator, Union

import cv2
import numpy as np
import numpy.typing as npt

from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.image_decoding import Encoded
from mobilenet.data.record_file import RecordFile
from mobilenet.errors import DataError
from mobilenet.packing.dataset_layouts import is_image

# Validation records come first.
_RECORD_FILES = ("val.rec", "minival.rec", "train.rec")


def example_images(path: Path, transform: EvalTransform, count: int) -> npt.NDArray[np.uint8]:
    """Up to `count` images `(N, 3, H, W)`, 0 to 255, spread evenly over those at `path`.

    `path` is a record file, a folder of records, an image, or a folder with images at any depth.
    The same path always gives the same images.

    Raises:
        DataError: There is no image at `path`, or one cannot be decoded.
    """
    files = [path / name for name in _RECORD_FILES if (path / name).is_file()]
    path = files[0] if files else path
    found = _records(path, count) if path.suffix == ".rec" else _files(path, count)
    images = [_planes(where, encoded, transform) for where, encoded in found]
    if not images:
        raise DataError(f"{path}: there are no images")
    return np.stack(images)


def _planes(where: str, encoded: Encoded, transform: EvalTransform) -> npt.NDArray[np.uint8]:
    try:
        return transform.planes(encoded)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def _records(path: Path, count: int) -> Iterator[tuple[str, Encoded]]:
    records = RecordFile(path)
    for position in _spread(len(records), count):
        yield f"{path}, record {position}", records.image(position)


def _files(path: Path, count: int) -> Iterator[tuple[str, Encoded]]:
    files = sorted(p for p in path.rglob("*") if is_image(p.name)) if path.is_dir() else [path]
    for position in _spread(len(files), count):
        yield str(files[position]), files[position].read_bytes()


def _spread(number: int, count: int) -> list[int]:
    count = min(number, count)
    return [index * number // count for index in range(count)]


def random_images(
    count: int, resolution: Union[int, tuple[int, int]], seed: int
) -> npt.NDArray[np.uint8]:
    """Random images `(count, 3, H, W)` that are smooth with some noise, like photographs.

    `resolution` is height and width in pixels, or one number for both.
    """
    height, width = (resolution,) * 2 if isinstance(resolution, int) else resolution
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    smooth = np.stack(
        [cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse]
    )
    noisy = smooth + generator.normal(0, 8, smooth.shape)
    images: npt.NDArray[np.uint8] = (
        np.clip(noisy, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2).copy()
    )
    return images
