"""Reads the weights in a file of another program, whatever its format."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Callable, Mapping, NamedTuple, Optional

from mobilenet.errors import WeightsError
from mobilenet.foreign.onnx_graph import read_graph
from mobilenet.foreign.renamed_arrays import recognise
from mobilenet.foreign.stored_arrays import Stored, read_npz, read_safetensors
from mobilenet.foreign.torchvision_timm_keras_names import IMAGENET_INPUT
from mobilenet.network import weights
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.untrusted_file import check_untrusted


class Reference(NamedTuple):
    """A file that ONNX Runtime can run, to compare outputs with."""

    model: OnnxModel
    gives_probabilities: bool


class Source(NamedTuple):
    """The weights in a file, and what the file tells about the network."""

    family: str
    """The program that wrote the file, or whose names it has."""
    arrays: Mapping[str, Stored]
    """By the package's names."""
    facts: Metadata
    """The network's input, and what the file tells about the network itself."""
    notes: tuple[str, ...] = ()
    is_normalization_guessed: bool = True
    """Whether mean and std in `facts` are only the usual ones, not the file's own."""
    reference: Optional[Reference] = None
    """The file itself if it can be run: the network should give the same outputs."""


def read_source(path: Path) -> Source:
    """The weights in the file at `path`.

    Raises:
        WeightsError: It cannot be read, is damaged, or does not have the arrays of a MobileNet v2.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    reader = _READERS.get(path.suffix)
    if reader is None:
        remedy = _REMEDIES.get(path.suffix, "")
        raise WeightsError(
            f"{path}: {remedy or 'not one of the kinds ' + ', '.join(_READERS) + ' that are read'}"
        )
    return reader(path)


_SAVE_TENSORS = (
    "it could run code when it is unpickled, so it is not read; save the weights with"
    " safetensors.torch.save_file(model.state_dict(), 'net.safetensors')"
)
_SAVE_VARIABLES = (
    "files of Keras and TensorFlow are not read; save the weights with"
    " numpy.savez('net.npz', **{v.path: v.numpy() for v in model.variables}), where older versions"
    " have v.name instead of v.path"
)
_REMEDIES = {
    **dict.fromkeys((".pth", ".pt", ".bin", ".pkl", ".tar", ".th"), _SAVE_TENSORS),
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".ckpt", ".pb", ".tflite"), _SAVE_VARIABLES),
    **dict.fromkeys((".gz", ".tgz", ".zip"), "an archive; unpack it and import the file inside"),
    ".npy": "a single array; a MobileNet v2 has about 260, saved with numpy.savez",
}


def _read_parameters(path: Path) -> Source:
    arrays, is_gluon = weights.read_and_recognise(path)
    stored = {name: Stored(array.shape, array.asnumpy) for name, array in arrays.items()}
    # Networks of gluoncv and of Gluon's model zoo have ReLU6 in every dialect.
    of_symbol = _symbols_activation(path)
    activation = of_symbol or ("relu6" if is_gluon else None)
    facts = dataclasses.replace(IMAGENET_INPUT, activation=activation)
    notes = () if of_symbol else (_ACTIVATION if is_gluon else _OWN_ACTIVATION,)
    return Source("Gluon" if is_gluon else "this package", stored, facts, notes)


_ACTIVATION = "arrays do not tell the activation; it is ReLU6 in Gluon's published networks"
_OWN_ACTIVATION = "arrays do not tell the activation; the dialect's own is taken"


def _symbols_activation(path: Path) -> Optional[str]:
    """The activation in the graph that Gluon's `export` wrote beside NAME-0000.params, if any."""
    name, is_exported = re.subn(r"-\d{4}$", "-symbol.json", path.stem)
    symbol = path.with_name(name)
    if not is_exported or not symbol.is_file():
        return None
    try:
        operators = {node["op"] for node in json.loads(symbol.read_bytes())["nodes"]}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise WeightsError(f"{symbol}: not a graph of MXNet, or damaged") from error
    return "relu6" if "clip" in operators else "relu"


def _read_graph(path: Path) -> Source:
    graph = read_graph(path)
    check_untrusted(path)
    file = OnnxModel(path)
    known = dataclasses.replace(file.metadata, pixels=None, activation=graph.activation)
    facts = IMAGENET_INPUT.updated(known).updated(
        Metadata(resolution=file.resolution and max(file.resolution))
    )
    notes = []
    if known.mean is None:
        notes.append("the file does not say what it takes; ImageNet's mean and std are assumed")
    if graph.has_folded_norm:
        notes.append("BatchNorm is folded into the kernels, so that only its shift is left")
    reference = Reference(file, graph.gives_probabilities)
    return Source("ONNX", graph.arrays, facts, tuple(notes), known.mean is None, reference)


def _named_arrays(read: Callable[[Path], dict[str, Stored]]) -> Callable[[Path], Source]:
    def reader(path: Path) -> Source:
        arrays, family, facts, notes = recognise(read(path), path)
        return Source(family, arrays, facts, notes)

    return reader


_READERS = {
    ".params": _read_parameters,
    ".onnx": _read_graph,
    ".safetensors": _named_arrays(read_safetensors),
    ".npz": _named_arrays(read_npz),
}
