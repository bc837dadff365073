"""Crafts files of weights that are nearly right, and reads them (see `crafting`)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable

import mobilenet  # noqa: F401  # isort: skip  makes MXNet importable
import mxnet as mx
import numpy as np
import onnx
from crafting import EXTREMES, craft_and_read, one_of, spoilt, told
from foreign_layouts import torchvision, write_safetensors
from random_networks import random_network

from mobilenet.foreign.import_weights import import_weights
from mobilenet.inference.open_model import open_model
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.weights import read_parameters
from mobilenet.onnx.exporter import export_network
from mobilenet.onnx.graph import GraphOptions

SIZE = 32
IMAGE = np.zeros((1, 3, SIZE, SIZE), np.float32)


def write_whole(folder: Path) -> None:
    """A file of each kind, as it should be."""
    network = random_network("paper", 0.1)
    mx.nd.waitall()
    mx.nd.save(str(folder / "whole.params"), parameter_arrays(network))
    arrays = torchvision(network)
    np.savez_compressed(folder / "whole.npz", **arrays)
    write_safetensors(folder / "whole.safetensors", arrays)
    export_network(network, folder / "whole.onnx", GraphOptions(resolution=SIZE))


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


READERS: dict[str, Callable[[Path], object]] = {
    "params": read_parameters,
    "npz": lambda path: import_weights(path, path.with_name("made")),
    "safetensors": lambda path: import_weights(path, path.with_name("made")),
    "onnx": open_and_run,
}


def main() -> None:
    """Crafts and reads."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    whole = (folder / f"whole.{kind}").read_bytes()
    path = folder / f"crafted.{kind}"

    def craft(random: np.random.Generator, number: int) -> None:
        crafts = wrong_graph if kind == "onnx" and number % 3 else spoilt
        path.write_bytes(crafts(whole, random))

    craft_and_read(craft, lambda: READERS[kind](path))


if __name__ == "__main__":
    main()
