"""What answers requests inside an archive for Multi-Model-Server: an image in, JSON out.

`mobilenet.export.model_archive` packs this module with those that it imports, as they are, so that
a server prepares images in the very way in which models are validated. It needs NumPy, OpenCV and
ONNX Runtime, but neither MXNet nor an installation of this package.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence

import numpy as np

from mobilenet.data.eval_transforms import EvalTransform, Normalization
from mobilenet.data.image_decoding import Encoded
from mobilenet.errors import DataError
from mobilenet.metrics import Guess, guesses, score
from mobilenet.onnx.runtime import OnnxModel

MODEL_FILE = "model.onnx"
FACTS_FILE = "service.json"
# What it holds: the preprocessing, and one name per class.
_PREPROCESSING = ("name", "resolution", "short_side", "mean", "std", "exif_orientation", "crop")
_FACTS = (*_PREPROCESSING, "class_names")

# How the server calls the body of a request, and what forms call the image.
_BODY, _FIELD = "body", "data"
_BAD_REQUEST = 400
_THREADS = "OMP_NUM_THREADS"

Request = Mapping[str, Any]


class Classifier:
    """The model of an unpacked archive; each image is computed by `OMP_NUM_THREADS` threads.

    The server sets that variable to 1 for each of its workers, unless it is set already.
    """

    def __init__(self, folder: Path) -> None:
        facts = _read_facts(folder / FACTS_FILE)
        self._names = facts["class_names"]
        self._transform = EvalTransform(
            facts["name"],
            facts["resolution"],
            facts["short_side"],
            Normalization(tuple(facts["mean"]), tuple(facts["std"])),
            facts["exif_orientation"],
            facts["crop"] and tuple(facts["crop"]),
        )
        self._model = OnnxModel(folder / MODEL_FILE, int(os.environ[_THREADS]))

    def __call__(self, image: Encoded) -> tuple[Guess, ...]:
        """The five most probable classes of an encoded image.

        Raises:
            DataError: The image cannot be decoded.
        """
        logits = self._model.logits(self._transform(image)[None])
        return guesses(score(logits, np.zeros(1, np.int32)), 0, self._names)


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {name: facts[name] for name in _FACTS}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path}: damaged; make the archive anew by mobilenet export") from error


_opened = functools.cache(Classifier)


def handle(requests: Optional[Sequence[Request]], context: Any) -> Optional[list[dict[str, Any]]]:
    """One answer per request; the server's first call has none and lets the model be opened.

    A request without an image that can be decoded gets the status 400 and a sentence; the others
    of its batch, and those that follow, are answered.
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
