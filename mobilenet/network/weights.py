"""Parameters by name: read from files without unpickling, renamed from Gluon's forms, fitted.

The package's own names are those of `model.MobileNetV2`. Files of gluoncv and of Gluon's model zoo
name layers by their place in the network; they are recognised and renamed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterable, Iterator, Mapping, NamedTuple, Protocol, Sequence

import mxnet as mx
from mxnet import gluon

from mobilenet.errors import WeightsError, one_line, shortened
from mobilenet.network.architecture import scaled_repeats
from mobilenet.network.params_file import read_arrays

_LISTED_NAMES = 5

NORM = ("gamma", "beta", "running_mean", "running_var")
"""What a BatchNorm's parameters and statistics are called."""


class Shaped(Protocol):
    """Whatever has a shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""


class Block(NamedTuple):
    """An inverted residual block by its places, as names of layers tell them."""

    number: int
    """In the network, from 0."""
    stage: int
    """Row of Table 2, from 1."""
    repeat: int
    """In the stage, from 0."""
    parts: tuple[str, ...]
    """`expand`, unless it has none, `depthwise` and `project`."""


REPEATS = scaled_repeats(1.0)
"""Blocks of each stage in the paper."""


def blocks(expands_first: bool, repeats: Sequence[int] = REPEATS) -> Iterator[Block]:
    """The blocks in their order, of stages with `repeats` blocks.

    `expands_first` is `architecture.Dialect.expands_first_block`.
    """
    places = [(row, i) for row, number in enumerate(repeats, 1) for i in range(number)]
    for number, (stage, repeat) in enumerate(places):
        parts = ("expand", "depthwise", "project")
        yield Block(number, stage, repeat, parts if number or expands_first else parts[1:])


def layer_names(expands_first: bool, repeats: Sequence[int] = REPEATS) -> list[str]:
    """What the package calls its units of convolution and BatchNorm, in their order."""
    inner = [
        f"stage{block.stage}_block{block.repeat}_{part}"
        for block in blocks(expands_first, repeats)
        for part in block.parts
    ]
    return ["stem", *inner, "head"]


def read_parameters(path: Path) -> dict[str, mx.nd.NDArray]:
    """The arrays of a `.params` file by the package's names.

    Raises:
        WeightsError: The file is missing, damaged, or not a list of named arrays.
    """
    arrays = read_arrays(path)
    plain = {name.split(":", 1)[-1]: array for name, array in arrays.items()}
    return rename_gluon(plain, path) if is_gluon(plain) else plain


# `save_parameters` names layers by their places; `export` by their kinds, behind a free prefix.
_POSITION = re.compile(r"(features|output)\.")
_PREFIX = re.compile(r"\w*?(?=(features|output)_)")


def is_gluon(names: Iterable[str]) -> bool:
    """Whether all names are of the forms that gluoncv and Gluon's model zoo write."""
    names = list(names)
    forms = (_POSITION, _PREFIX)
    return bool(names) and any(all(form.match(name) for name in names) for form in forms)


def rename_gluon(arrays: Mapping[str, mx.nd.NDArray], path: Path) -> dict[str, mx.nd.NDArray]:
    """Arrays named as gluoncv and Gluon's model zoo save or export them, by our names.

    Raises:
        WeightsError: The names are not those of a MobileNet v2.
    """
    theirs = {name: _PREFIX.sub("", name, count=1) for name in arrays}
    third = {"features.3.out.6.weight", "features_linearbottleneck0_conv2_weight"}
    expands_first = not third.isdisjoint(theirs.values())
    names = {**dict(_positional_names(expands_first)), **dict(_prefixed_names(expands_first))}
    unknown = sorted(name for name, plain in theirs.items() if plain not in names)
    if unknown:
        raise WeightsError(f"{path}: not the layers of a MobileNet v2: {some(unknown)}")
    return {names[theirs[name]]: array for name, array in arrays.items()}


def _positional_names(expands_first: bool) -> Iterator[tuple[str, str]]:
    """Pairs of a name by position, as `save_parameters` writes it, and the package's name."""
    stem, *inner, head = layer_names(expands_first)
    yield from _named("features.0.", "features.1.", stem)
    for block in blocks(expands_first):
        parent = f"features.{block.number + 3}.out."
        for index, _ in enumerate(block.parts):
            yield from _named(f"{parent}{3 * index}.", f"{parent}{3 * index + 1}.", inner.pop(0))
    position = block.number + 4
    yield from _named(f"features.{position}.", f"features.{position + 1}.", head)
    yield "output.0.weight", "classifier_weight"


def _prefixed_names(expands_first: bool) -> Iterator[tuple[str, str]]:
    """Pairs of a name by kind, as `export` writes it after its prefix, and the package's name."""
    stem, *inner, head = layer_names(expands_first)
    yield from _named("features_conv0_", "features_batchnorm0_", stem)
    for block in blocks(expands_first):
        parent = f"features_linearbottleneck{block.number}_"
        for index, _ in enumerate(block.parts):
            yield from _named(f"{parent}conv{index}_", f"{parent}batchnorm{index}_", inner.pop(0))
    yield from _named("features_conv1_", "features_batchnorm1_", head)
    yield "output_pred_weight", "classifier_weight"


def _named(conv: str, norm: str, ours: str) -> Iterator[tuple[str, str]]:
    yield f"{conv}weight", f"{ours}_conv_weight"
    for name in NORM:
        yield f"{norm}{name}", f"{ours}_norm_{name}"


def fit(network: gluon.HybridBlock, arrays: Mapping[str, mx.nd.NDArray], source: Path) -> None:
    """Gives every parameter of `network` the array of its name, on all of its devices.

    Raises:
        WeightsError: A parameter is missing, left over, or of another shape; none was changed.
    """
    parameters = dict(network.collect_params().items())
    check_fit({name: p.shape for name, p in parameters.items()}, arrays, source)
    for name, parameter in parameters.items():
        parameter.set_data(arrays[name])


def check_fit(
    shapes: Mapping[str, tuple[int, ...]], arrays: Mapping[str, Shaped], source: Path
) -> None:
    """Holds `arrays` against the `shapes` of a network's parameters.

    Raises:
        WeightsError: One is missing, left over, or of another shape.
    """
    others = [
        f"{name} is {arrays[name].shape} instead of {shape}"
        for name, shape in shapes.items()
        if name in arrays and arrays[name].shape != shape
    ]
    groups = {
        "missing": sorted(set(shapes) - set(arrays)),
        "left over": sorted(set(arrays) - set(shapes)),
        "of another shape (another width multiplier, dialect or number of classes?)": others,
    }
    problems = "; ".join(f"{kind}: {some(names)}" for kind, names in groups.items() if names)
    if problems:
        raise WeightsError(f"{source}: the parameters do not fit the network: {problems}")


def some(names: list[str]) -> str:
    """The first few names, and how many more there are, on one line."""
    more = len(names) - _LISTED_NAMES
    listed = ", ".join(shortened(one_line(name), 120) for name in names[:_LISTED_NAMES])
    return listed + (f" and {more} more" if more > 0 else "")
