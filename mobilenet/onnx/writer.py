"""A symbol and its arrays as an ONNX model: opset 7, written directly, or a later one.

MXNet's own exporter knows opsets 12 and 13 alone and onnx cannot convert down from them.
"""

from __future__ import annotations

from typing import Any, Mapping

import mxnet as mx
import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.helper import make_graph, make_tensor_value_info

import mobilenet
from mobilenet.errors import WeightsError
from mobilenet.onnx.ends import with_normalization, with_softmax
from mobilenet.onnx.folding import fold_batch_norm
from mobilenet.onnx.graph import Array, Graph, GraphOptions, renamed
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.operators import convert
from mobilenet.onnx.origin import in_origin_form

OPSET = 7
# Of the first onnx releases. Up to version 3 every initializer is also an input of the graph and
# readers take it for a constant; MXNet's importer and onnx 1.2 read nothing else.
_IR_VERSION = 3


def write_model(
    symbol: mx.sym.Symbol,
    arrays: Mapping[str, Array],
    options: GraphOptions,
    metadata: Metadata,
) -> ModelProto:
    """The model that gives what `symbol` does with `arrays` in inference, in opset 7.

    Input `data` `(N, 3, H, W)`, output `logits` or `probabilities` `(N, classes)`. The same arrays
    and options always give the same bytes.

    Raises:
        WeightsError: An array is missing, has another shape than the symbol's, or is not finite.
        UserError: An operator, or the combination of form and network, cannot be written.
    """
    classes = _checked_classes(symbol, arrays, options.resolution or 224)
    graph = convert(symbol, arrays)
    if options.form == "zoo":
        graph = in_origin_form(graph, options.batch, classes)
    else:
        graph = fold_batch_norm(graph)
        graph = _with_output(graph, "logits")
    if options.pixels != "normalised":
        is_integer = options.pixels == "uint8"
        graph = with_normalization(graph, options.normalization, is_integer=is_integer)
    if options.softmax:
        graph = _with_output(with_softmax(graph), "probabilities")
    for name, array in graph.constants.items():
        _check_finite(name, array)
    return _model(graph, options, metadata, classes)


def _with_output(graph: Graph, output: str) -> Graph:
    return renamed(graph, lambda name: output if name == graph.output else name)


def _checked_classes(symbol: mx.sym.Symbol, arrays: Mapping[str, Array], resolution: int) -> int:
    sources = [name for name in symbol.list_inputs() if name not in arrays]
    if len(sources) != 1:
        missing = ", ".join(f"'{name}'" for name in sources[:4])
        raise WeightsError(
            f"of the symbol's inputs one must be without an array; these are: {missing}"
        )
    shapes, outputs, auxiliary = symbol.infer_shape(**{sources[0]: (1, 3, resolution, resolution)})
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    for name, shape in zip(names, shapes + auxiliary):
        if name in arrays and arrays[name].shape != shape:
            raise WeightsError(
                f"the array '{name}' has the shape {arrays[name].shape}, the network's is {shape}"
            )
    return int(outputs[0][1])


def _check_finite(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise WeightsError(f"the array '{name}' has values that are not finite")


def _model(graph: Graph, options: GraphOptions, metadata: Metadata, classes: int) -> ModelProto:
    size = options.resolution
    shape = [options.batch or "N", 3, size or "H", size or "W"]
    kind = TensorProto.UINT8 if options.pixels == "uint8" else TensorProto.FLOAT
    inputs = [make_tensor_value_info(graph.input, kind, shape)]
    inputs += [_value_info(name, array) for name, array in graph.constants.items()]
    outputs = [make_tensor_value_info(graph.output, TensorProto.FLOAT, [shape[0], classes])]
    tensors = [_tensor(name, array, options) for name, array in graph.constants.items()]
    body = make_graph(graph.nodes, "mobilenet_v2", inputs, outputs, initializer=tensors)
    model = ModelProto(ir_version=_IR_VERSION, graph=body)
    model.opset_import.add(version=OPSET)
    if options.form == "portable":
        model.producer_name = "mobilenet-mxnet"
        model.producer_version = mobilenet.__version__
    for key, value in sorted(metadata.properties().items()):
        model.metadata_props.add(key=key, value=value)
    return model


def _value_info(name: str, array: Array) -> Any:
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return make_tensor_value_info(name, kind, array.shape)


def _tensor(name: str, array: Array, options: GraphOptions) -> TensorProto:
    if options.form == "portable":
        return numpy_helper.from_array(array, name)
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return onnx.helper.make_tensor(name, kind, array.shape, array.ravel())
