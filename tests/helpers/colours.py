"""A model that is right by construction, and images for it: it names the colour of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import cv2
import numpy as np

from mobilenet.data.record_file import RecordWriter
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.settings.schema import Config, DataConfig, ModelConfig, ValidationConfig

NAMES = ("red", "green", "blue", "yellow", "purple", "cyan", "black", "white")
COLOURS = np.array(
    [(230, 20, 20), (20, 230, 20), (20, 20, 230), (230, 230, 20), (230, 20, 230), (20, 230, 230),
     (20, 20, 20), (230, 230, 230)], np.float32
)  # fmt: skip


def colour_model(
    folder: Path, names: Sequence[str] = NAMES, blind: Sequence[int] = ()
) -> LoadedModel:
    """Answers the class whose colour is nearest to the mean; never one of `blind`."""

    def predict(images: np.ndarray) -> np.ndarray:
        means = 127.5 * (images.mean(axis=(2, 3)) + 1)
        distances = np.linalg.norm(means[:, None] - COLOURS, axis=2) / 40
        distances[:, list(blind)] += 100
        return -distances.astype(np.float32)

    config = Config(
        model=ModelConfig(classes=len(COLOURS)),
        data=DataConfig(str(folder), resolution=32, mean=(0.5,) * 3, std=(0.5,) * 3),
        validation=ValidationConfig(batch_size=4, short_side=40),
    )
    path = folder / "model.params"
    path.touch()  # a report has its digest
    return LoadedModel(
        path=path,
        config=config,
        class_names=tuple(names),
        predict=predict,
        network=None,
    )


def painted(colour: int, size: tuple[int, int] = (50, 44)) -> bytes:
    """A PNG of one colour."""
    pixels = np.full((*size, 3), COLOURS[colour][::-1], np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def write_records(folder: Path, colours: Sequence[int], labels: Sequence[int]) -> Path:
    """A record file of painted images; the keys are 100, 101 ..."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "val.rec"
    with RecordWriter(path, path.with_suffix(".idx")) as writer:
        for key, (colour, label) in enumerate(zip(colours, labels), start=100):
            writer.write(key, label, painted(colour))
    return path
