"""What an exported file says about itself, so that nobody types its preprocessing again.

The keys of `metadata_props` are the fields of `Metadata`; values are JSON, but for plain words.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Mapping, Optional

_HASH = "class_names_sha256"


@dataclass(frozen=True)
class Metadata:
    """Facts about a network; those that are None are unknown and are not written."""

    mean: Optional[tuple[float, ...]] = None
    """Mean of red, green and blue on a scale of 0 to 1, subtracted from the pixels."""
    std: Optional[tuple[float, ...]] = None
    """Standard deviation on that scale, by which the pixels are then divided."""
    pixels: str = "normalised"
    """What the input holds: `normalised`, or 0 to 255 as `float` or `uint8`; the file then
    normalises itself."""
    output: str = "logits"
    """`logits` or `probabilities`."""
    resolution: Optional[int] = None
    """Height and width in pixels for which the network was trained."""
    transform: Optional[str] = None
    """How an image becomes the input: a name of `mobilenet.data.transforms.PREPROCESSINGS`."""
    short_side: Optional[int] = None
    """Short side in pixels before the central crop."""
    width_multiplier: Optional[float] = None
    """Width multiplier."""
    dialect: Optional[str] = None
    """A name of `mobilenet.model.DIALECTS`."""
    activation: Optional[str] = None
    """`relu6` or `relu`."""
    class_names: tuple[str, ...] = ()
    """One line per class, in label order."""
    source: Optional[str] = None
    """The run or file that the weights are from; `untrained` if they are random."""
    top1_accuracy: Optional[float] = None
    """Top-1 accuracy as a fraction, on `num_validated` images."""
    top5_accuracy: Optional[float] = None
    """Top-5 accuracy likewise."""
    num_validated: Optional[int] = None
    """Number of images behind the accuracies."""

    def properties(self) -> dict[str, str]:
        """The keys and values of `metadata_props`, with the SHA-256 of the class names' lines."""
        facts = {k: v for k, v in dataclasses.asdict(self).items() if v is not None and v != ()}
        if self.class_names:
            text = "".join(f"{name}\n" for name in self.class_names)
            facts[_HASH] = hashlib.sha256(text.encode()).hexdigest()
        return {key: _written(value) for key, value in facts.items()}


def from_properties(properties: Mapping[str, str]) -> Metadata:
    """What a file's `metadata_props` say; keys of other programs are passed over."""
    facts: dict[str, Any] = {}
    for field in dataclasses.fields(Metadata):
        if field.name in properties:
            value = _read(properties[field.name])
            facts[field.name] = tuple(value) if isinstance(value, list) else value
    return Metadata(**facts)


def settings_of(metadata: Metadata, classes: int) -> str:
    """The settings of a configuration that describe the file and its input, as YAML.

    A file that normalises by itself takes `(pixel / 255 - 0) / (1 / 255)`, which is the pixel.
    """
    takes_pixels = metadata.pixels != "normalised"
    facts = dataclasses.asdict(metadata)
    sections = {
        "model": {"classes": classes, **_known(facts, "width_multiplier", "dialect", "activation")},
        "data": {
            **_known(facts, "resolution", "mean", "std"),
            **({"mean": (0.0,) * 3, "std": (1 / 255,) * 3} if takes_pixels else {}),
        },
        "validation": _known(facts, "transform", "short_side"),
    }
    return json.dumps(sections)


def _known(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names if facts[name] is not None}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
