"""Refuses ONNX files that would exhaust the memory or read files elsewhere on the disk.

A few hundred bytes can describe tensors of many gigabytes, or name any file as their data. Runtimes
do not check that.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto
from onnx.helper import get_attribute_value, make_tensor_value_info

from mobilenet.errors import WeightsError, one_line, shortened

# Most values in one tensor for one image, and in the whole input: half a gigabyte. MobileNet v2 has
# three quarters of them at width 1 and 2048 px, and a tenth at width 10 and 224 px.
_MAX_VALUES = 1 << 27
_ANY_RESOLUTION = 224
# Only tensors up to this size can be shapes of others.
_NUM_SHAPE_VALUES = 1024


def check_untrusted(path: Path) -> None:
    """Checks the ONNX file at `path` without running it.

    Raises:
        WeightsError: It cannot be read, keeps arrays outside its folder, or has a tensor of more
            than 2**27 values for one image.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise WeightsError(f"{path} is not an ONNX model, or is damaged") from error
    for tensor in _tensors(model):
        _check_place(tensor, path)
    for node in _nodes(model.graph):
        _check_group(node, path)
    num_images = _set_sizes(model.graph, path)
    _check_sizes(model, num_images, path)


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of the graph, and of the subgraphs in their attributes."""
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            yield node
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else attribute.graphs


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    yield from model.graph.initializer
    functions = (node for function in model.functions for node in function.node)
    for node in (*_nodes(model.graph), *functions):
        for attribute in node.attribute:
            yield from _attribute_tensors(attribute)


def _attribute_tensors(attribute: AttributeProto) -> Iterator[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    for graph in (attribute.g, *attribute.graphs):
        yield from graph.initializer


def _check_place(tensor: TensorProto, path: Path) -> None:
    """Refuses arrays that are neither in the model nor in a file beside it."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return
    places = [entry.value for entry in tensor.external_data if entry.key == "location"]
    for place in places or [""]:
        beside = path.parent / place
        if Path(place).name != place or not place or beside.is_symlink() or not beside.is_file():
            shown = shortened(one_line(place), 120)
            raise WeightsError(f"{path}: its arrays are in '{shown}', not in a file beside it")


def _check_group(node: NodeProto, path: Path) -> None:
    for attribute in node.attribute:
        if attribute.name == "group" and get_attribute_value(attribute) < 1:
            raise WeightsError(f"{path}: a node {one_line(node.op_type)} has fewer than 1 group")


def _set_sizes(graph: GraphProto, path: Path) -> int:
    """Fixes the sizes of the input as they would be run; returns the batch size."""
    stored = {tensor.name for tensor in graph.initializer}
    num_images = 1
    for port in graph.input:
        if port.name not in stored:
            sizes = _sizes(port, _ANY_RESOLUTION)
            if math.prod(sizes) > _MAX_VALUES:
                text = "x".join(map(str, sizes))
                raise WeightsError(f"{path} takes {text} values at once; at most 2**27 are run")
            num_images = max(num_images, *sizes[:1])
            for dimension, size in zip(port.type.tensor_type.shape.dim, sizes):
                dimension.dim_value = size
    return num_images


def _sizes(port: ValueInfoProto, default: int) -> list[int]:
    """The sizes of a tensor; sizes that are not fixed are `default`, or 1 for the batch."""
    sizes = [max(0, dimension.dim_value) for dimension in port.type.tensor_type.shape.dim]
    return [size or (default if place else 1) for place, size in enumerate(sizes)]


def _check_sizes(model: ModelProto, num_images: int, path: Path) -> None:
    _drop_large_arrays(model.graph)
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception as error:  # onnx's exceptions have no common base
        reason = shortened(one_line(str(error).strip()), 200)
        raise WeightsError(f"{path} is not an ONNX model that can be run: {reason}") from error
    for port in (*graph.value_info, *graph.output):
        sizes = _sizes(port, 1)
        if math.prod(sizes) > _MAX_VALUES * (num_images if sizes[:1] == [num_images] else 1):
            name, text = shortened(one_line(port.name), 120), "x".join(map(str, sizes))
            raise WeightsError(
                f"{path}: its tensor '{name}' of {text} values is larger than an image classifier's"
            )


def _drop_large_arrays(graph: GraphProto) -> None:
    """Keeps only the types and shapes of large arrays, so that they are not copied."""
    inputs = {port.name for port in graph.input}
    large = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > _NUM_SHAPE_VALUES]
    small = [tensor for tensor in graph.initializer if math.prod(tensor.dims) <= _NUM_SHAPE_VALUES]
    for tensor in large:
        if tensor.name not in inputs:
            graph.input.append(make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    del graph.initializer[:]
    graph.initializer.extend(small)
