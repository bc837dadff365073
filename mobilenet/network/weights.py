"""Reads parameters from .params files, renames those of Gluon, and loads them into a network.

The package's own names are those of `architecture.MobileNetV2`. Files of gluoncv and of Gluon's
model zoo number the layers; they are recognised and renamed.
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
    """An array of any library."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""


class Block(NamedTuple):
    """Where an inverted residual block is, as names of layers say it in several ways."""

    number: int
    """In the network, from 0."""
    stage: int
    """Row of Table 2, from 1."""
    repeat: int
    """In the stage, from 0."""
    parts: tuple[str, ...]
    """`depthwise` and `project`, after `expand` if the block has an expansion."""


REPEATS = scaled_repeats(1.0)
"""Blocks of each stage in the paper."""


def blocks(expands_first: bool, repeats: Sequence[int] = REPEATS) -> Iterator[Block]:
    """The blocks in order; `repeats` is the number of blocks in each stage.

    `expands_first` is `architecture.Dialect.expands_first_block`.
    """
    places = [(row, i) for row, number in enumerate(repeats, 1) for i in range(number)]
    for number, (stage, repeat) in enumerate(places):
        parts = ("expand", "depthwise", "project")
        yield Block(number, stage, repeat, parts if number or expands_first else parts[1:])


def layer_names(expands_first: bool, repeats: Sequence[int] = REPEATS) -> list[str]:
    """The package's names of the pairs of convolution and BatchNorm, in order."""
    inner = [
        f"stage{block.stage}_block{block.repeat}_{part}"
        for block in blocks(expands_first, repeats)
        for part in block.parts
    ]
    return ["stem", *inner, "head"]


def read_parameters(path: Path) -> dict[str, mx.nd.NDArray]:
    """The arrays of a `.params` file by the package's names, on the CPU.

    Files of gluoncv and of Gluon's model zoo are recognised by their names, and renamed. Nothing is
    unpickled.

    Raises:
        WeightsError: The file is missing or damaged, is not a list of named arrays, or has the
            names of another Gluon network.
    """
    return read_and_recognise(path)[0]


def read_and_recognise(path: Path) -> tuple[dict[str, mx.nd.NDArray], bool]:
    """The arrays as `read_parameters` gives them, and whether their names were Gluon's."""
    arrays = {name.split(":", 1)[-1]: array for name, array in read_arrays(path).items()}
    return (rename_gluon(arrays, path), True) if is_gluon(arrays) else (arrays, False)


_POSITION = re.compile(r"(features|output)\.")
_PREFIX = re.compile(r"\w*?(?=(features|output)_)")


def is_gluon(names: Iterable[str]) -> bool:
    """Whether all names look like those of gluoncv and Gluon's model zoo."""
    names = list(names)
    forms = (_POSITION, _PREFIX)
    return bool(names) and any(all(form.match(name) for name in names) for form in forms)


def rename_gluon(arrays: Mapping[str, mx.nd.NDArray], path: Path) -> dict[str, mx.nd.NDArray]:
    """Arrays of gluoncv or Gluon's model zoo, saved or exported, by the package's names.

    Raises:
        WeightsError: The names are not those of a MobileNet v2.
    """
    theirs = {name: _PREFIX.sub("", name, count=1) for name in arrays}
    third = {"features.3.out.6.weight", "features_linearbottleneck0_conv2_weight"}
    expands_first = not third.isdisjoint(theirs.values())
    names = dict(_gluon_names(expands_first))
    unknown = sorted(name for name, plain in theirs.items() if plain not in names)
    if unknown:
        raise WeightsError(f"{path}: not the layers of a MobileNet v2: {first_few(unknown)}")
    return {names[theirs[name]]: array for name, array in arrays.items()}


def gluon_positions(arrays: Mapping[str, mx.nd.NDArray]) -> dict[str, mx.nd.NDArray]:
    """Arrays by the package's names, by those that Gluon's `save_parameters` gives its own network.

    They are of the dialects `gluoncv` or `origin`, in which the classifier has no bias.
    """
    pairs = _gluon_names("stage1_block0_expand_conv_weight" in arrays)
    return {theirs: arrays[ours] for theirs, ours in pairs if _POSITION.match(theirs)}


def _gluon_names(expands_first: bool) -> Iterator[tuple[str, str]]:
    """Pairs of a name in Gluon's files and the package's name.

    `save_parameters` names layers by position; `export` by type, after its prefix.
    """
    stem, *inner, head = layer_names(expands_first)
    yield from _named("features.0.", "features.1.", stem)
    yield from _named("features_conv0_", "features_batchnorm0_", stem)
    for block in blocks(expands_first):
        place = f"features.{block.number + 3}.out."
        kind = f"features_linearbottleneck{block.number}_"
        for index, _ in enumerate(block.parts):
            ours = inner.pop(0)
            yield from _named(f"{place}{3 * index}.", f"{place}{3 * index + 1}.", ours)
            yield from _named(f"{kind}conv{index}_", f"{kind}batchnorm{index}_", ours)
    position = block.number + 4
    yield from _named(f"features.{position}.", f"features.{position + 1}.", head)
    yield from _named("features_conv1_", "features_batchnorm1_", head)
    yield "output.0.weight", "classifier_weight"
    yield "output_pred_weight", "classifier_weight"


def _named(conv: str, norm: str, ours: str) -> Iterator[tuple[str, str]]:
    yield f"{conv}weight", f"{ours}_conv_weight"
    for name in NORM:
        yield f"{norm}{name}", f"{ours}_norm_{name}"


def fit(network: gluon.HybridBlock, arrays: Mapping[str, mx.nd.NDArray], source: Path) -> None:
    """Sets every parameter of `network` to the array of its name, on all of its devices.

    Args:
        network: Its parameters are initialized.
        arrays: One for each parameter, of the same shape.
        source: The file that the arrays come from, for the message.

    Raises:
        WeightsError: An array is missing, is left over, or has another shape; no parameter was
            changed.
    """
    parameters = dict(network.collect_params().items())
    check_fit({name: p.shape for name, p in parameters.items()}, arrays, source)
    for name, parameter in parameters.items():
        parameter.set_data(arrays[name])


def check_fit(
    shapes: Mapping[str, tuple[int, ...]], arrays: Mapping[str, Shaped], source: Path
) -> None:
    """Checks `arrays` against the `shapes` of a network's parameters.

    Raises:
        WeightsError: An array is missing, is left over, or has another shape.
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
    problems = "; ".join(f"{kind}: {first_few(names)}" for kind, names in groups.items() if names)
    if problems:
        raise WeightsError(f"{source}: the parameters do not fit the network: {problems}")


def first_few(names: list[str]) -> str:
    """The first few names, and how many more there are, on one line."""
    more = len(names) - _LISTED_NAMES
    listed = ", ".join(shortened(one_line(name), 120) for name in names[:_LISTED_NAMES])
    return listed + (f" and {more} more" if more > 0 else "")
