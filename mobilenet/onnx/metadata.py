"""What an exported file says about itself, so that nobody types its preprocessing again.

The keys of `metadata_props` are the fields of `Metadata`; values are JSON, but for plain words.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from mobilenet.data.eval_transforms import PREPROCESSINGS

UNTRAINED = "untrained"
"""What a file with random weights says of their source."""
UNTRAINED_GRAPH = "mxnet_untrained_model"
"""The same as the graph's name in the form `zoo`, where the origin's file has no facts and the name
`mxnet_converted_model`, which is as long."""
_HASH = "class_names_sha256"
_MEASURED = ("top1_accuracy", "top5_accuracy", "num_validated")
# What ONNX itself defines for inputs that are images (onnx/docs/MetadataProps.md).
_IMAGE = {
    "Image.BitmapPixelFormat": "Rgb8",
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}


@dataclass(frozen=True)
class Metadata:
    """Facts about a network; those that are None are unknown and are not written."""

    mean: Optional[tuple[float, ...]] = None
    """Mean of red, green and blue on a scale of 0 to 1, subtracted from the pixels."""
    std: Optional[tuple[float, ...]] = None
    """Standard deviation on that scale, by which the pixels are then divided."""
    pixels: Optional[str] = None
    """What the input holds: `normalised` values, or pixels of 0 to 255, which the file normalises
    itself, as `float` or `uint8`."""
    output: Optional[str] = None
    """`logits` or `probabilities`."""
    resolution: Optional[int] = None
    """Height and width in pixels for which the network was trained."""
    transform: Optional[str] = None
    """How an image becomes the input: a name of `mobilenet.data.eval_transforms.PREPROCESSINGS`."""
    short_side: Optional[int] = None
    """Short side in pixels before the central crop."""
    exif_orientation: Optional[str] = None
    """`apply` where photographs are turned as their EXIF orientation says, or `ignore`."""
    width_multiplier: Optional[float] = None
    """Width multiplier."""
    depth_multiplier: Optional[float] = None
    """Depth multiplier, if it is not 1."""
    dialect: Optional[str] = None
    """A name of `mobilenet.network.architecture.DIALECTS`."""
    activation: Optional[str] = None
    """`relu6` or `relu`."""
    class_names: tuple[str, ...] = ()
    """One line per class, in label order."""
    source: Optional[str] = None
    """The run that the weights are from, or `sha256:` and that of their file; `UNTRAINED` if they
    are random."""
    top1_accuracy: Optional[float] = None
    """Top-1 accuracy as a fraction, on `num_validated` images."""
    top5_accuracy: Optional[float] = None
    """Top-5 accuracy likewise."""
    num_validated: Optional[int] = None
    """Number of images behind the accuracies."""
    validated_on: Optional[str] = None
    """Which images: `val`, or `minival` if they were held out of the training images; or the name
    of a file or folder."""
    quantization: Optional[str] = None
    """How numbers are rounded to integers; None if they are not."""
    calibrated_on: Optional[str] = None
    """The images that the ranges of these integers are from."""

    def updated(self, other: Metadata) -> Metadata:
        """These facts, replaced by those that `other` knows."""
        known = {f.name: getattr(other, f.name) for f in dataclasses.fields(other)}
        return dataclasses.replace(self, **{k: v for k, v in known.items() if v not in (None, ())})

    def properties(self) -> dict[str, str]:
        """The keys and values of `metadata_props`, with the SHA-256 of the class names' lines."""
        facts = {k: v for k, v in dataclasses.asdict(self).items() if v is not None and v != ()}
        if self.class_names:
            text = "".join(f"{name}\n" for name in self.class_names)
            facts[_HASH] = hashlib.sha256(text.encode()).hexdigest()
        if self.takes_pixels:
            facts.update(_IMAGE)
        return {key: _written(value) for key, value in facts.items()}

    @property
    def takes_pixels(self) -> bool:
        """Whether the input is pixels of 0 to 255."""
        return self.pixels in ("float", "uint8")

    @property
    def knows_preprocessing(self) -> bool:
        """Whether a file with these facts needs no configuration that says what its input is."""
        return self.takes_pixels or self.mean is not None


def from_properties(properties: Mapping[str, str]) -> Metadata:
    """What a file's `metadata_props` say; keys of other programs are passed over."""
    facts = {
        field.name: _read(properties[field.name], str(field.type))
        for field in dataclasses.fields(Metadata)
        if field.name in properties
    }
    others = {k for k in _MEASURED if not isinstance(facts.get(k), (int, float))}
    return Metadata(**{k: v for k, v in facts.items() if k not in others})


_NETWORK = ("width_multiplier", "depth_multiplier", "dialect", "activation")


def settings_of(metadata: Metadata, classes: int) -> str:
    """The settings of a configuration that describe the file and its input, as YAML.

    A file that normalises by itself takes `(pixel / 255 - 0) / (1 / 255)`, which is the pixel.
    """
    facts = dataclasses.asdict(metadata)
    sections = {
        "model": {"classes": classes, **_known(facts, *_NETWORK)},
        "data": {
            **_known(facts, "resolution", "mean", "std", "exif_orientation"),
            **({"mean": (0.0,) * 3, "std": (1 / 255,) * 3} if metadata.takes_pixels else {}),
        },
        "validation": _known(facts, "transform", *_short_side_setting(metadata)),
    }
    return json.dumps(sections)


def _short_side_setting(metadata: Metadata) -> tuple[str, ...]:
    # Where a transform has a short side of its own the setting would be refused.
    known = PREPROCESSINGS.get(metadata.transform or "")
    return () if known is not None and known.short_side is not None else ("short_side",)


def _known(facts: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: facts[name] for name in names if facts[name] is not None}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(text: str, annotation: str) -> Any:
    if annotation == "Optional[str]":
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text  # another program's; as a setting it will be refused by name
    if annotation == "tuple[str, ...]":
        return tuple(map(str, value)) if isinstance(value, list) else ()
    return tuple(value) if isinstance(value, list) else value
