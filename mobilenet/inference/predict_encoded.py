"""Predicts the classes of images that are in memory, encoded as JPEG, PNG or the like."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Iterator, Sequence

import numpy as np

from mobilenet.data.eval_transforms import Floats
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.errors import DataError
from mobilenet.inference.open_model import LoadedModel
from mobilenet.metrics import Guess, guesses, score


def predict_encoded(
    model: LoadedModel, images: Sequence[tuple[str, bytes]]
) -> Iterator[tuple[Guess, ...]]:
    """Up to five classes of each image, the most probable first; `images` are names and bytes.

    Raises:
        DataError: An image cannot be decoded.
    """
    names = spoken_names(names_of_classes(model.class_names, model.config.model.classes))
    size, transform = model.config.validation.batch_size, model.transform

    def prepared(image: tuple[str, bytes]) -> Floats:
        name, content = image
        try:
            return transform(content)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), size):
            batch = np.stack(list(pool.map(prepared, images[start : start + size])))
            predictions = score(model.predict(batch), np.zeros(len(batch), np.int32))
            yield from (guesses(predictions, place, names) for place in range(len(batch)))
