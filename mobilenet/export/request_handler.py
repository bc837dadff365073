"""Handles requests in Multi-Model-Server: takes an image, answers with JSON.

`mobilenet.export.model_archive` packs this module and those that it imports into the archive, so
that the server preprocesses images exactly as validation does. It needs NumPy, OpenCV and ONNX
Runtime, but neither MXNet nor an installation of this package.
"""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

import numpy as np

from mobilenet.data.eval_transforms import EvalTransform, Normalization
from mobilenet.data.image_decoding import Encoded, ExifOrientation
from mobilenet.errors import DataError
from mobilenet.json_fields import check_fields
from mobilenet.metrics import Guess, guesses, score
from mobilenet.onnx.runtime import OnnxModel

MODEL_FILE = "model.onnx"
FACTS_FILE = "service.json"

# The server's key for the body of a request, and the field of a form that holds the image.
_BODY, _FIELD = "body", "data"
_BAD_REQUEST = 400
_THREADS = "OMP_NUM_THREADS"

Request = Mapping[str, Any]


@dataclass(frozen=True)
class _Facts:
    """What `service.json` holds: the preprocessing, and one name per class."""

    name: str
    resolution: int
    short_side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    exif_orientation: ExifOrientation
    crop: Optional[tuple[int, int]]
    class_names: list[str]


class Classifier:
    """The model of an unpacked archive, computing with `OMP_NUM_THREADS` threads.

    The server sets that variable to 1 for each of its workers, unless it is set already.
    """

    def __init__(self, folder: Path) -> None:
        facts = _read_facts(folder / FACTS_FILE)
        self._names = facts.class_names
        self._transform = EvalTransform(
            facts.name,
            facts.resolution,
            facts.short_side,
            Normalization(facts.mean, facts.std),
            facts.exif_orientation,
            facts.crop,
        )
        self._model = OnnxModel(folder / MODEL_FILE, int(os.environ[_THREADS]))
        if self._model.num_classes != len(self._names):
            raise _damaged(folder / FACTS_FILE)

    def __call__(self, image: Encoded) -> tuple[Guess, ...]:
        """The five most probable classes of an encoded image.

        Raises:
            DataError: The image cannot be decoded.
        """
        logits = self._model.logits(self._transform(image)[None])
        return guesses(score(logits, np.zeros(1, np.int32)), 0, self._names)


def _read_facts(path: Path) -> _Facts:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name: content[each.name] for each in fields(_Facts)}
        names = known.pop("class_names")
        tuples: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in known.items()
        }
        facts = _Facts(**tuples, class_names=names)
        check_fields(facts)
        return facts
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> DataError:
    return DataError(f"{path}: damaged; make the archive anew by mobilenet export")


_opened = functools.cache(Classifier)


def handle(requests: Optional[Sequence[Request]], context: Any) -> Optional[list[dict[str, Any]]]:
    """One answer per request; the server's first call has no requests and only loads the model.

    A request without an image that can be decoded gets the status 400 and an error message. It does
    not affect the other requests of its batch, nor later ones.
    """
    classifier = _opened(Path(context.system_properties["model_dir"]))
    if requests is None:
        return None
    answers: list[dict[str, Any]] = []
    for place, request in enumerate(requests):
        context.set_response_content_type(place, "application/json")
        try:
            found = classifier(_image(request))
            answers.append({"guesses": [guess._asdict() for guess in found]})
        except DataError as error:
            context.set_response_status(_BAD_REQUEST, "Bad Request", place)
            answers.append({"error": str(error)})
    return answers


def _image(request: Request) -> bytes:
    image = request.get(_BODY, request.get(_FIELD))
    if not image or not isinstance(image, (bytes, bytearray)):
        raise DataError(f"send one image: as the body, or as the field '{_FIELD}' of a form")
    return bytes(image)
