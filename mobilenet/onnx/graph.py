"""The graph that steps of the export transform: ONNX nodes and their constants; its options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Literal, Mapping, Optional, Union

import numpy.typing as npt
from onnx import NodeProto
from onnx.defs import onnx_opset_version

from mobilenet.data.eval_transforms import IMAGENET, Normalization
from mobilenet.errors import UserError

Array = npt.NDArray[Any]
OPSET = 7


@dataclass(frozen=True)
class GraphOptions:
    """Options of an exported file: form, input, output, precision, opset.

    Raises:
        UserError: An option is out of range, or does not go with the form.
    """

    form: Literal["portable", "zoo"] = "portable"
    """`portable` folds BatchNorm into the convolutions; `zoo` is the graph of the ONNX model zoo's
    mobilenetv2-7.onnx, node for node and name for name."""
    batch: Optional[int] = None
    """Images per batch, or None for any."""
    resolution: Union[int, tuple[int, int], None] = 224
    """Height and width in pixels, one number if they are the same, or None for any."""
    pixels: Literal["normalised", "float", "uint8"] = "normalised"
    """What the input holds: normalised values, or pixels of 0 to 255 as float32 or uint8."""
    normalization: Normalization = IMAGENET
    """Of the network's input; becomes part of the graph if the input is pixels."""
    softmax: bool = False
    """The output is probabilities instead of logits."""
    half_weights: bool = False
    """Weights are stored in half precision, which halves the file; computation stays in single."""
    opset: int = OPSET
    """Version of ONNX's operators, from 7 to the newest that the installed onnx knows."""

    def __post_init__(self) -> None:
        for name, sizes in (("batch", (self.batch,)), ("resolution", self.size or ())):
            for value in sizes:
                if value is not None and value < 1:
                    raise UserError(f"{name} (={value}) must be at least 1")
        newest = onnx_opset_version()
        if not OPSET <= self.opset <= newest:
            raise UserError(f"opset (={self.opset}) must be from {OPSET} to {newest}")
        changes = self.softmax or self.half_weights or self.pixels != "normalised"
        if self.form == "zoo" and changes:
            raise UserError(
                "the form 'zoo' is the origin's graph, which takes normalised images and gives "
                "logits; softmax, pixels and half_weights need the form 'portable'"
            )

    @property
    def size(self) -> Optional[tuple[int, int]]:
        """Height and width in pixels, or None for any."""
        size = self.resolution
        return (size, size) if isinstance(size, int) else size


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, from one input tensor to one output tensor.

    Each step of the export takes a graph and returns a new one; nodes and arrays never change.
    """

    nodes: tuple[NodeProto, ...]
    constants: Mapping[str, Array] = field(repr=False)
    input: str
    output: str


def renamed(graph: Graph, rename: Callable[[str], str]) -> Graph:
    """The graph with every node and tensor `name` called `rename(name)`."""
    nodes = []
    for node in graph.nodes:
        copy = rewired(node, [rename(name) for name in node.input], rename(node.output[0]))
        copy.name = rename(node.name)
        nodes.append(copy)
    constants = {rename(name): array for name, array in graph.constants.items()}
    return Graph(tuple(nodes), constants, rename(graph.input), rename(graph.output))


def rewired(node: NodeProto, inputs: list[str], output: str) -> NodeProto:
    """A copy of `node` with other `inputs` and another `output`."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = inputs
    copy.output[:] = [output]
    return copy
