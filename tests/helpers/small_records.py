"""A small record file of images that differ, and readers of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mobilenet.data.batch_reader import TrainReader
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.data.record_file import RecordFile, RecordWriter
from mobilenet.data.training_augmentation import TrainTransform

NUM_RECORDS = 53
AUGMENTATION = TrainTransform(
    16, brightness=0.4, contrast=0.4, hue=0.1, pca_noise=0.1, random_erasing=0.5
)
PREPROCESSING = EvalTransform(resolution=16)


def image_of(position: int) -> bytes:
    """A small JPEG of its own; every fifth is large enough to take its time."""
    generator = np.random.default_rng(position)
    shape = (300, 400, 3) if position % 5 == 0 else (20 + position % 7, 30, 3)
    pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.GaussianBlur(pixels, (5, 5), 0))[1].tobytes()


def record_file(path: Path, images: list[bytes]) -> RecordFile:
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for key, image in enumerate(images):
            writer.write(key, key % 10, image)
    return RecordFile(path)


def train_reader(records: RecordFile, batch_size: int = 8, **settings: int) -> TrainReader:
    return TrainReader(records, AUGMENTATION, batch_size, seed=3, **settings)
