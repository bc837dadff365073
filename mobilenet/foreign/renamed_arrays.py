"""Recognises arrays of other programs by their names, renames and transposes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterable, Iterator, Mapping, NamedTuple

import numpy as np

from mobilenet.errors import WeightsError
from mobilenet.foreign.architecture_detection import repeats_of
from mobilenet.foreign.stored_arrays import Array, Stored
from mobilenet.foreign.torchvision_timm_keras_names import LAYOUTS, Layout
from mobilenet.network.architecture import EPSILON
from mobilenet.network.weights import first_few
from mobilenet.onnx.metadata import Metadata

# Arrays of training that checkpoints contain besides the network.
_OTHERS = re.compile(r"num_batches_tracked$|global_step$|/(RMSProp|Momentum|Adam)(_\d+)?$")
_AVERAGE = "/ExponentialMovingAverage"
_WITH_BACKGROUND = 1001
_ACTIVATION = "arrays do not tell the activation; it is ReLU6 in all networks of this layout"

_KERNEL, _DEPTHWISE, _DENSE = (3, 2, 0, 1), (2, 3, 0, 1), (1, 0)


class Recognised(NamedTuple):
    """Arrays by the package's names, in its layout."""

    arrays: dict[str, Stored]
    family: str
    facts: Metadata
    notes: tuple[str, ...]
    """What was done to the arrays besides renaming and transposing them."""


def recognise(arrays: Mapping[str, Stored], path: Path) -> Recognised:
    """The arrays of the file `path`, whichever family of names they have.

    Raises:
        WeightsError: They have the names of no known family, or some are missing or left over.
    """
    stated = {_plain(name): (name, array) for name, array in _averaged(arrays).items()}
    given = {plain: array for plain, (_, array) in stated.items()}
    tables = [(layout, dict(layout.names(_repeats(given, layout)))) for layout in LAYOUTS]
    layout, names = max(tables, key=lambda pair: len(pair[1].keys() & given.keys()))
    if names.keys().isdisjoint(given):
        families = ", ".join(each.family for each in LAYOUTS)
        raise WeightsError(
            f"{path}: no array has a name of a MobileNet v2 as written by {families}; the names"
            f" are {first_few(sorted(arrays)) or 'none'}"
        )
    groups = {
        "missing": sorted(names.keys() - given),
        "left over": sorted(stated[plain][0] for plain in given.keys() - names),
    }
    wrong = "; ".join(f"{kind}: {first_few(listed)}" for kind, listed in groups.items() if listed)
    if wrong:
        raise WeightsError(f"{path}: not the arrays of a MobileNet v2 of {layout.family}: {wrong}")
    own = {names[name]: _converted(names[name], array, layout) for name, array in given.items()}
    notes = tuple(_notes(arrays, own, layout))
    return Recognised(_without_background(own, layout), layout.family, layout.facts, notes)


def _repeats(names: Iterable[str], layout: Layout) -> tuple[int, ...]:
    """Number of blocks in each stage, from the number of layers."""
    num_norms = sum(name.endswith(layout.norm[-1]) for name in names)
    # Three in each block but two in the first, one in the stem and one in the head.
    return repeats_of(num_blocks=(num_norms - 1) // 3)


def _averaged(arrays: Mapping[str, Stored]) -> dict[str, Stored]:
    """The network's arrays, or their moving averages where training kept any."""
    network = {n: a for n, a in arrays.items() if not _OTHERS.search(n) and not _is_average(n)}
    averages = {n.removesuffix(_AVERAGE): a for n, a in arrays.items() if _is_average(n)}
    return {**network, **averages}


def _is_average(name: str) -> bool:
    return name.endswith(_AVERAGE)


def _plain(name: str) -> str:
    """The name without the parts that differ between versions of a program."""
    name = re.sub(r"^module\.|:\d+$", "", name)
    name = re.sub(r"depthwise_(?=kernel$|weights$)", "", name)
    if "/" not in name or name.startswith("MobilenetV2/"):
        return name
    # Keras writes the name of the model, or that of the layer again, before the layer.
    return re.sub(r"^Logits/", "predictions/", "/".join(name.split("/")[-2:]))


def _converted(name: str, array: Stored, layout: Layout) -> Stored:
    if name.endswith("running_var") and layout.epsilon != EPSILON:
        return array.changed(array.shape, lambda a: _padded(a, layout.epsilon))
    if layout.is_channels_last and len(array.shape) in (2, 4):
        kernel = _DEPTHWISE if name.endswith("depthwise_conv_weight") else _KERNEL
        return array.transposed(kernel if len(array.shape) == 4 else _DENSE)
    return array


def _padded(variance: Array, epsilon: float) -> Array:
    """The variance to which adding EPSILON gives the same as adding `epsilon` to `variance`."""
    return variance.astype(np.float64) + (epsilon - EPSILON)


def _without_background(arrays: Mapping[str, Stored], layout: Layout) -> dict[str, Stored]:
    """The arrays without class 0 of slim's 1001, the background."""
    if not _has_background(arrays, layout):
        return dict(arrays)
    cut = {
        name: array.changed((array.shape[0] - 1, *array.shape[1:]), lambda values: values[1:])
        for name, array in arrays.items()
        if name.startswith("classifier_")
    }
    return {**arrays, **cut}


def _has_background(arrays: Mapping[str, Stored], layout: Layout) -> bool:
    is_slim = layout.family == "slim"
    return is_slim and arrays["classifier_bias"].shape == (_WITH_BACKGROUND,)


def _notes(given: Mapping[str, Stored], own: Mapping[str, Stored], layout: Layout) -> Iterator[str]:
    yield _ACTIVATION
    if any(map(_is_average, given)):
        yield "the moving averages of the weights are taken, not the last weights"
    if _has_background(own, layout):
        yield "the first of 1001 classes, the background, is left out"
    if layout.epsilon != EPSILON:
        yield (
            f"variances are larger by {layout.epsilon - EPSILON:g}, because {layout.family}"
            f" adds {layout.epsilon:g} to them and this network {EPSILON:g}"
        )
    if layout.is_channels_last:
        yield (
            "TensorFlow pads even sizes on one side more, MXNet on both alike: logits are the same"
            " only for sizes of 32 k + 1, such as 225, which stay odd"
        )
