"""The metadata of an exported file: preprocessing, class names, network, accuracy.

The keys of `metadata_props` are the fields of `Metadata`; values are JSON, except for plain
strings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from mobilenet.data.eval_transforms import PREPROCESSINGS

UNTRAINED = "untrained"
"""The `source` of random weights."""
UNTRAINED_GRAPH = "mxnet_untrained_model"
"""The graph's name in the form `zoo` if the weights are random: the model zoo's file has no
metadata, and its name `mxnet_converted_model` is as long."""
_HASH = "class_names_sha256"
_MEASURED = ("top1_accuracy", "top5_accuracy", "num_validated")
# The keys that ONNX defines for images as inputs (onnx/docs/MetadataProps.md).
_IMAGE = {
    "Image.BitmapPixelFormat": "Rgb8",
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}


@dataclass(frozen=True)
class Metadata:
    """Facts about a network and its input; unknown ones are None and are not written."""

    mean: Optional[tuple[float, ...]] = None
    """Mean of red, green and blue on a scale of 0 to 1, which is subtracted from the pixels."""
    std: Optional[tuple[float, ...]] = None
    """Standard deviation on the same scale, by which they are divided after that."""
    pixels: Optional[str] = None
    """The input: `normalised` values, or pixels of 0 to 255 as `float` or `uint8`, which the graph
    normalises."""
    output: Optional[str] = None
    """`logits` or `probabilities`."""
    resolution: Optional[int] = None
    """Height and width in pixels for which the network was trained."""
    transform: Optional[str] = None
    """The preprocessing: a name of `mobilenet.data.eval_transforms.PREPROCESSINGS`."""
    short_side: Optional[int] = None
    """Short side of the image in pixels before the centre crop."""
    exif_orientation: Optional[str] = None
    """`apply` if images are rotated as their EXIF orientation says, else `ignore`."""
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
    """The run that trained the weights, or `sha256:` and the digest of their file; `UNTRAINED` if
    they are random."""
    trained: Optional[str] = None
    """How they were trained, in words."""
    license: Optional[str] = None
    """SPDX identifier of their licence."""
    top1_accuracy: Optional[float] = None
    """Top-1 accuracy as a fraction, on `num_validated` images."""
    top5_accuracy: Optional[float] = None
    """Top-5 accuracy likewise."""
    num_validated: Optional[int] = None
    """Number of images that the accuracies were measured on."""
    validated_on: Optional[str] = None
    """Which images: `val`, or `minival` if they were held out of the training images, or the name
    of a file or folder."""
    quantization: Optional[str] = None
    """How weights and activations are quantized; None in floating point."""
    calibrated_on: Optional[str] = None
    """The images on which the quantization was calibrated."""

    def updated(self, other: Metadata) -> Metadata:
        """These facts, replaced by those of `other` that are known."""
        known = {f.name: getattr(other, f.name) for f in dataclasses.fields(other)}
        return dataclasses.replace(self, **{k: v for k, v in known.items() if v not in (None, ())})

    def properties(self) -> dict[str, str]:
        """The keys and values of `metadata_props`, including the SHA-256 of the class names."""
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
        """Whether these facts say how the input is normalised, so that no configuration has to."""
        return self.takes_pixels or self.mean is not None


def from_properties(properties: Mapping[str, str]) -> Metadata:
    """The facts in a file's `metadata_props`; keys of other programs are ignored."""
    facts = {
        field.name: _read(properties[field.name], str(field.type))
        for field in dataclasses.fields(Metadata)
        if field.name in properties
    }
    others = {k for k in _MEASURED if not isinstance(facts.get(k), (int, float))}
    return Metadata(**{k: v for k, v in facts.items() if k not in others})


_NETWORK = ("width_multiplier", "depth_multiplier", "dialect", "activation")


def settings_of(metadata: Metadata, classes: int) -> str:
    """The configuration that describes a file and its input, as YAML.

    If the graph normalises, mean is 0 and std is 1 / 255, so that it gets the pixels unchanged.
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
    # Some transforms have a fixed short side; the setting would be an error with them.
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
        value = text  # from another program; reading it as a setting gives the error
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, (list, dict)) for item in items):
        value = text  # likewise: no fact is nested, and `asdict` fails at deep nests
    if annotation == "tuple[str, ...]":
        return tuple(map(str, value)) if isinstance(value, list) else ()
    return tuple(value) if isinstance(value, list) else value
