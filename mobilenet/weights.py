"""Parameters by name: read from files without unpickling, renamed from published forms, fitted.

The package's own names are those of `model.MobileNetV2`. Files of gluoncv and of Gluon's model zoo
name layers by their place in the network; they are recognised and renamed.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Iterator, Mapping

import mxnet as mx
from mxnet import gluon

from mobilenet.errors import WeightsError

# What an NDArray list file begins with (mxnet/src/ndarray/ndarray.cc, kMXAPINDArrayListMagic).
_MAGIC = (0x112).to_bytes(8, "little")
_NORM = ("gamma", "beta", "running_mean", "running_var")
_LISTED_NAMES = 5


def read_parameters(path: Path) -> dict[str, mx.nd.NDArray]:
    """The arrays of a `.params` file by the package's names.

    Raises:
        WeightsError: The file is missing, damaged, or not a list of named arrays.
    """
    arrays = read_arrays(path)
    plain = {name.split(":", 1)[-1]: array for name, array in arrays.items()}
    is_positional = all(re.match(r"(features|output)\.", name) for name in plain)
    return rename_positional(plain, path) if plain and is_positional else plain


def read_arrays(path: Path) -> dict[str, mx.nd.NDArray]:
    """The named arrays of an NDArray file, names as they stand.

    Raises:
        WeightsError: The file is missing, damaged, or not a list of named arrays.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
        if magic != _MAGIC:
            raise WeightsError(f"{path}: not a file of MXNet parameters (.params)")
        arrays = mx.nd.load(str(path))
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    except (mx.MXNetError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path}: the file of parameters is damaged or cut short") from error
    if not isinstance(arrays, dict):
        raise WeightsError(f"{path}: its arrays have no names")
    return arrays


def rename_positional(arrays: Mapping[str, mx.nd.NDArray], path: Path) -> dict[str, mx.nd.NDArray]:
    """Arrays named by layer positions, as gluoncv and Gluon's model zoo save them, by our names.

    Raises:
        WeightsError: The positions are not those of a MobileNet v2.
    """
    expands_first = "features.3.out.6.weight" in arrays
    names = dict(_positional_names(expands_first))
    unknown = sorted(set(arrays) - set(names))
    if unknown:
        raise WeightsError(f"{path}: not the layers of a MobileNet v2: {_some(unknown)}")
    return {names[name]: array for name, array in arrays.items()}


def _positional_names(expands_first: bool) -> Iterator[tuple[str, str]]:
    """Pairs of a name by position and the package's name."""
    yield from _conv_norm("features", 0, "stem")
    repeats = (1, 2, 3, 4, 3, 3, 1)
    position = 3
    for stage, num_blocks in enumerate(repeats, start=1):
        for block in range(num_blocks):
            layers = ["expand", "depthwise", "project"]
            if stage == 1 and not expands_first:
                layers.remove("expand")
            for index, layer in enumerate(layers):
                ours = f"stage{stage}_block{block}_{layer}"
                yield from _conv_norm(f"features.{position}.out", 3 * index, ours)
            position += 1
    yield from _conv_norm("features", position, "head")
    yield "output.0.weight", "classifier_weight"


def _conv_norm(parent: str, position: int, ours: str) -> Iterator[tuple[str, str]]:
    yield f"{parent}.{position}.weight", f"{ours}_conv_weight"
    for name in _NORM:
        yield f"{parent}.{position + 1}.{name}", f"{ours}_norm_{name}"


def fit(network: gluon.HybridBlock, arrays: Mapping[str, mx.nd.NDArray], source: Path) -> None:
    """Gives every parameter of `network` the array of its name, on all of its devices.

    Raises:
        WeightsError: A parameter is missing, left over, or of another shape; none was changed.
    """
    parameters = dict(network.collect_params().items())
    problems = _misfits({name: p.shape for name, p in parameters.items()}, arrays)
    if problems:
        raise WeightsError(f"{source}: the parameters do not fit the network: {problems}")
    for name, parameter in parameters.items():
        parameter.set_data(arrays[name])


def _misfits(shapes: Mapping[str, tuple[int, ...]], arrays: Mapping[str, mx.nd.NDArray]) -> str:
    """What keeps `arrays` from fitting `shapes`, in one phrase; empty if nothing does."""
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
    return "; ".join(f"{kind}: {_some(names)}" for kind, names in groups.items() if names)


def _some(names: list[str]) -> str:
    more = len(names) - _LISTED_NAMES
    return ", ".join(names[:_LISTED_NAMES]) + (f" and {more} more" if more > 0 else "")
