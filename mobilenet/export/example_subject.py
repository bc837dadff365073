"""What an example program has to know of an ONNX file, whatever language it is in."""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

from mobilenet.data.eval_transforms import EvalTransform, Normalization
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.errors import WeightsError
from mobilenet.inference.open_model import open_model
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel

_TEMPLATES = Path(__file__).with_name("examples")
# What leaves pixels as they are.
_UNCHANGED = Normalization((0.0,) * 3, (1 / 255,) * 3)


@dataclass(frozen=True)
class Subject:
    """An ONNX file as its examples see it."""

    path: Path
    transform: EvalTransform
    metadata: Metadata
    dtype: str
    """Type of the input: `float32` or `uint8`."""
    batch: int
    """Images per batch; 1 if the file takes any."""
    names: tuple[str, ...]
    """The classes as `predict` prints them, in label order."""

    @property
    def takes_pixels(self) -> bool:
        """Whether the input is the pixels as they are, because the graph normalises them."""
        return self.transform.normalization == _UNCHANGED

    @property
    def gives_probabilities(self) -> bool:
        """Whether the output needs no softmax."""
        return self.metadata.output == "probabilities"

    @property
    def classes_file(self) -> str:
        """Name of the text file with a class per line."""
        return f"{self.path.stem}_example_classes.txt"


def subject_of(source: Path) -> Subject:
    """The subject in the ONNX file `source`.

    Raises:
        WeightsError: It is not an ONNX image classifier.
    """
    if source.suffix != ".onnx":
        raise WeightsError(f"{source} is not an .onnx file; export the model first")
    model, file = open_model(source), OnnxModel(source)
    return Subject(
        path=source,
        transform=model.transform,
        metadata=file.metadata,
        dtype=str(file.dtype),
        batch=file.batch_size or 1,
        names=spoken_names(names_of_classes(model.class_names, model.config.model.classes)),
    )


def filled(template: str, values: Mapping[str, object]) -> str:
    """The text `template` in `examples/` with `values` in its `{{places}}`."""
    text = (_TEMPLATES / template).read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: str(values[place[1]]), text)


def in_loop(text: str) -> str:
    """The lines as they stand inside the loop over photos."""
    return textwrap.indent(text.rstrip(), " " * 4)


def quoted(text: str) -> str:
    """A literal of the text that Python, JavaScript and C++ read alike."""
    return json.dumps(text, ensure_ascii=False)
