"""Computes a network in double precision, as the reference for single precision."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet.gluon import nn

from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.graph_forms import symbol_of

Doubles = npt.NDArray[np.float64]


def float64_logits(network: nn.HybridBlock, data: Doubles) -> Doubles:
    """The logits `(N, classes)` of `network` for `data` `(N, 3, H, W)`, by MXNet on the CPU."""
    symbol = _in_double(symbol_of(network))
    arrays = {
        name: mx.nd.array(array.asnumpy(), dtype="float64")
        for name, array in parameter_arrays(network).items()
    }
    statistics = {name: arrays.pop(name) for name in symbol.list_auxiliary_states()}
    arrays["data"] = mx.nd.array(data, dtype="float64")
    (logits,) = symbol.bind(mx.cpu(), arrays, grad_req="null", aux_states=statistics).forward()
    return np.asarray(logits.asnumpy())


def _in_double(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """The graph without the type of its variables, so that they may be double.

    BatchNorm's epsilon is rounded to single precision, as oneDNN takes it and ONNX stores it.
    """
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        attributes = node.get("attrs", {})
        attributes.pop("__dtype__", None)
        if node["op"] == "BatchNorm":
            attributes["eps"] = repr(float(np.float32(attributes["eps"])))
    return mx.sym.load_json(json.dumps(graph))
