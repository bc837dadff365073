"""Converts a symbol and its arrays to an ONNX model: opset 7, written directly, or a later one.

MXNet's own exporter writes only opsets 12 and 13, and onnx cannot convert those to opset 7.
"""

from __future__ import annotations

from typing import Mapping

import mxnet as mx
import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, numpy_helper, version_converter
from onnx.helper import (
    find_min_ir_version_for,
    make_graph,
    make_tensor,
    make_tensor_value_info,
    np_dtype_to_tensor_dtype,
)

import mobilenet
from mobilenet.errors import WeightsError
from mobilenet.onnx.batchnorm_folding import fold_batch_norm
from mobilenet.onnx.graph import OPSET, Array, Graph, GraphOptions, renamed
from mobilenet.onnx.half_precision import with_half_weights
from mobilenet.onnx.metadata import UNTRAINED, UNTRAINED_GRAPH, Metadata
from mobilenet.onnx.normalization_and_softmax import with_normalization, with_softmax
from mobilenet.onnx.operators import convert
from mobilenet.onnx.zoo_names import in_origin_form

PRODUCER = "mobilenet-mxnet"
"""The name of this package in the files that it writes."""
# Of the first onnx releases; MXNet's importer and onnx before 1.4 read no later one. Up to version
# 3 every initializer is also an input of the graph, and runtimes treat it as a constant.
_IR_VERSION = 3
# From opset 9 on, which came with IR version 4, an initializer that is also an input is a default
# that the caller may replace, so that ONNX Runtime cannot optimize it away.
_FIRST_OPSET_OF_CONSTANTS = 9
_GRAPH_NAMES = {"portable": "mobilenet_v2", "zoo": "mxnet_converted_model"}


def write_model(
    symbol: mx.sym.Symbol,
    arrays: Mapping[str, Array],
    options: GraphOptions,
    metadata: Metadata,
) -> ModelProto:
    """The ONNX model that computes what `symbol` computes with `arrays` in inference.

    The input is `data` `(N, 3, H, W)`, the output `logits` or `probabilities` `(N, classes)`; in
    the form `zoo` it has the name in the model zoo's file. The same arguments give the same bytes.

    Raises:
        WeightsError: An array is missing, has a wrong shape, or is not finite.
        UserError: An operator, or the network in this form, cannot be written.
    """
    graph = graph_of(symbol, arrays, options)
    for name, array in graph.constants.items():
        _check_finite(name, array)
    classes = _checked_classes(symbol, arrays, options)
    return _in_opset(_model(graph, options, metadata, classes), options.opset)


def graph_of(symbol: mx.sym.Symbol, arrays: Mapping[str, Array], options: GraphOptions) -> Graph:
    """The graph of the model at opset 7.

    Its constants have the precision of `arrays`: with double precision nothing is rounded.

    Raises:
        WeightsError, UserError: As for `write_model`.
    """
    classes = _checked_classes(symbol, arrays, options)
    for name, array in arrays.items():
        _check_finite(name, array)
    graph = convert(symbol, arrays)
    if options.form == "zoo":
        return in_origin_form(graph, options.batch, classes)
    return _portable(graph, options)


def _portable(graph: Graph, options: GraphOptions) -> Graph:
    graph = _with_output(fold_batch_norm(graph), "logits")
    if options.pixels != "normalised":
        is_integer = options.pixels == "uint8"
        graph = with_normalization(graph, options.normalization, is_integer=is_integer)
    if options.softmax:
        graph = _with_output(with_softmax(graph), "probabilities")
    return with_half_weights(graph) if options.half_weights else graph


def _with_output(graph: Graph, output: str) -> Graph:
    return renamed(graph, lambda name: output if name == graph.output else name)


def _checked_classes(
    symbol: mx.sym.Symbol, arrays: Mapping[str, Array], options: GraphOptions
) -> int:
    sources = [name for name in symbol.list_inputs() if name not in arrays]
    if sources != ["data"]:
        names = ", ".join(f"'{name}'" for name in sources if name != "data")
        raise WeightsError(f"the network's input 'data' or one of its arrays is missing: {names}")
    shapes, outputs, statistics = symbol.infer_shape(data=(1, 3, *(options.size or (224, 224))))
    names = symbol.list_arguments() + symbol.list_auxiliary_states()
    for name, shape in zip(names, shapes + statistics):
        if name in arrays and arrays[name].shape != shape:
            raise WeightsError(
                f"the array '{name}' has the shape {arrays[name].shape}, the network's is {shape}"
            )
    return int(outputs[0][1])


def _check_finite(name: str, array: Array) -> None:
    if not np.isfinite(array).all():
        raise WeightsError(
            f"the array '{name}' has values that are not finite, or become infinite when stored"
        )


def _model(graph: Graph, options: GraphOptions, metadata: Metadata, classes: int) -> ModelProto:
    shape = [options.batch or "N", 3, *(options.size or ("H", "W"))]
    kind = TensorProto.UINT8 if options.pixels == "uint8" else TensorProto.FLOAT
    inputs = [make_tensor_value_info(graph.input, kind, shape)]
    inputs += [_value_info(name, array) for name, array in graph.constants.items()]
    outputs = [make_tensor_value_info(graph.output, TensorProto.FLOAT, [shape[0], classes])]
    write = _tensor if options.form == "portable" else _origin_tensor
    tensors = [write(name, array) for name, array in graph.constants.items()]
    name, properties = _GRAPH_NAMES[options.form], metadata.properties()
    if options.form == "zoo" and metadata.source == UNTRAINED:
        name, properties = UNTRAINED_GRAPH, {}
    body = make_graph(graph.nodes, name, inputs, outputs, initializer=tensors)
    model = ModelProto(ir_version=_IR_VERSION, graph=body)
    model.opset_import.add(version=OPSET)
    if options.form == "portable":
        model.producer_name, model.producer_version = PRODUCER, mobilenet.__version__
    for key, value in sorted(properties.items()):
        model.metadata_props.add(key=key, value=value)
    return model


def _value_info(name: str, array: Array) -> ValueInfoProto:
    return make_tensor_value_info(name, np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _tensor(name: str, array: Array) -> TensorProto:
    return numpy_helper.from_array(array, name)


def _origin_tensor(name: str, array: Array) -> TensorProto:
    # The model zoo's file has its numbers in typed fields instead of raw bytes.
    return make_tensor(name, np_dtype_to_tensor_dtype(array.dtype), array.shape, array.ravel())


def _in_opset(model: ModelProto, opset: int) -> ModelProto:
    if opset == OPSET:
        return model
    converted = version_converter.convert_version(model, opset)
    del converted.graph.value_info[:]  # shapes that any reader infers
    if opset >= _FIRST_OPSET_OF_CONSTANTS:
        converted.ir_version = find_min_ir_version_for(converted.opset_import)
        del converted.graph.input[1:]
    return converted
