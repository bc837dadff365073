"""Crafts files of weights that are nearly right, and reads them in a process of its own.

    python crafted_weights.py FOLDER KIND COUNT SEED

Ends with exit code 0 if each of COUNT crafted files of KIND was read or refused in a sentence; says
which one was not, and the peak of the memory in MB.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Callable, Sequence

import mobilenet  # noqa: F401  # isort: skip  makes MXNet importable
import mxnet as mx
import numpy as np
import onnx
from foreign_layouts import torchvision, write_safetensors
from random_networks import random_network

from mobilenet.errors import UserError
from mobilenet.foreign.import_weights import import_weights
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.weights import read_parameters
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions

SIZE = 32
EXTREMES = (0, 1, -1, 2, 255, 1 << 15, 1 << 31, (1 << 31) - 1, 1 << 40, (1 << 63) - 1, -(1 << 63))
IMAGE = np.zeros((1, 3, SIZE, SIZE), np.float32)
# Where formats have what says how long the rest is.
HEAD_BYTES, TAIL_BYTES = 4096, 16_384


def write_whole(folder: Path) -> None:
    """A file of each kind, as it should be."""
    network = random_network("paper", 0.1)
    mx.nd.waitall()
    mx.nd.save(str(folder / "whole.params"), parameter_arrays(network))
    arrays = torchvision(network)
    np.savez_compressed(folder / "whole.npz", **arrays)
    write_safetensors(folder / "whole.safetensors", arrays)
    export_network(network, folder / "whole.onnx", GraphOptions(resolution=SIZE))


def one_of(items: Sequence[Any], random: np.random.Generator) -> Any:
    return items[int(random.integers(len(items)))]


def spoilt(content: bytes, random: np.random.Generator) -> bytes:
    """The content with a few bytes changed, most of them where lengths stand, or cut short."""
    spoilt_ = bytearray(content)
    for _ in range(random.integers(1, 4)):
        size = len(spoilt_)
        parts = ((0, min(HEAD_BYTES, size)), (max(0, size - TAIL_BYTES), size), (0, size))
        place = int(random.integers(*one_of(parts, random)))
        how = random.integers(4)
        if how == 0:
            spoilt_[place] ^= 1 << int(random.integers(8))
        elif how == 1:
            length = int(random.choice([4, 8]))
            value = one_of(EXTREMES, random) & ((1 << 8 * length) - 1)
            spoilt_[place : place + length] = value.to_bytes(length, "little")
        elif how == 2:
            spoilt_[place : place + 1] = spoilt_[place : place + int(random.integers(200))]
        else:
            spoilt_[place:] = spoilt_[place : place + int(random.integers(len(content)))]
    return bytes(spoilt_)


def wrong_graph(content: bytes, random: np.random.Generator) -> bytes:
    """The ONNX model with a few numbers, names or nodes of its graph changed."""
    model = onnx.ModelProto.FromString(content)
    for _ in range(random.integers(1, 3)):
        CHANGES[random.integers(len(CHANGES))](model.graph, random)
    return model.SerializeToString()


def change_attribute(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    nodes = [node for node in graph.node if node.attribute]
    attribute = one_of(one_of(nodes, random).attribute, random)
    if attribute.ints:
        attribute.ints[int(random.integers(len(attribute.ints)))] = one_of(EXTREMES, random)
    else:
        attribute.i = one_of(EXTREMES, random)


def change_shape(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    dims = one_of(graph.initializer, random).dims
    dims[int(random.integers(len(dims)))] = one_of(EXTREMES, random)


def change_input_shape(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    shape = graph.input[0].type.tensor_type.shape
    one_of(shape.dim, random).dim_value = one_of(EXTREMES, random)


def change_source(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    one_of(graph.node, random).input[0] = one_of(graph.node, random).output[0]


def change_operator(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    operators = ("Conv", "Tile", "Expand", "Gemm", "Reshape", "MatMul", "Dropout", "Clip")
    one_of(graph.node, random).op_type = one_of(operators, random)


def drop_inputs(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    inputs = one_of(graph.node, random).input
    del inputs[int(random.integers(len(inputs))) :]


def move_outside(graph: onnx.GraphProto, random: np.random.Generator) -> None:
    tensor = one_of(graph.initializer, random)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../" * int(random.integers(3)) + "a")


CHANGES = (
    change_attribute,
    change_shape,
    change_input_shape,
    change_source,
    change_operator,
    drop_inputs,
    move_outside,
)


def open_and_run(path: Path) -> None:
    """Imports the file, and runs it by both engines."""
    readers: tuple[Callable[[], object], ...] = (
        lambda: open_model(path).predict(IMAGE),
        lambda: open_model(path, engine="mxnet").predict(IMAGE),
        lambda: import_weights(path, path.with_name("made")),
    )
    for read in readers:
        told(read)


def told(read: Callable[[], object]) -> None:
    """Reads, or is refused in one line."""
    try:
        read()
    except UserError as error:
        assert "\n" not in str(error), error


READERS: dict[str, Callable[[Path], object]] = {
    "params": read_parameters,
    "npz": lambda path: import_weights(path, path.with_name("made")),
    "safetensors": lambda path: import_weights(path, path.with_name("made")),
    "onnx": open_and_run,
}


def peak() -> int:
    """The largest memory that this process had, in MB."""
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main() -> None:
    """Crafts and reads."""
    folder, kind, count, seed = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    random = np.random.default_rng(seed)
    whole = (folder / f"whole.{kind}").read_bytes()
    path = folder / f"crafted.{kind}"
    for number in range(count):
        crafts = wrong_graph if kind == "onnx" and number % 3 else spoilt
        path.write_bytes(crafts(whole, random))
        sys.stdout.write(f"{kind} {number} of seed {seed}: {peak()} MB before\n")
        sys.stdout.flush()
        told(lambda: READERS[kind](path))
    sys.stdout.write(f"{peak()}\n")


if __name__ == "__main__":
    main()
