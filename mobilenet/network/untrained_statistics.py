"""Sets the running statistics of a network that was never trained."""

from __future__ import annotations

import json

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import autograd
from mxnet.gluon import nn

from mobilenet.network.architecture import STATISTICS


def calibrate(network: nn.HybridBlock, data: npt.NDArray[np.float32]) -> None:
    """Sets the running statistics of every BatchNorm to those of its input for `data`.

    `data` are normalised images `(N, 3, H, W)`. With the initial statistics (mean 0, variance 1)
    the signal of random weights dies out: the logits of all images are nearly 0, so that comparing
    outputs would show nothing.
    """
    parameters = {
        name: parameter
        for name, parameter in network.collect_params().items()
        if name.endswith(STATISTICS)
    }
    for parameter in parameters.values():
        parameter.set_data(mx.nd.zeros(parameter.shape))
    context = next(iter(parameters.values())).list_ctx()[0]
    with autograd.record():
        outputs = network(mx.nd.array(data, ctx=context))
    outputs.backward()  # on CPUs only this changes the running statistics
    for name, momentum in _momenta(network).items():
        parameter = parameters[name]
        # They are now 0 * momentum + batch * (1 - momentum).
        parameter.set_data(parameter.data(context) / (1 - momentum))


def _momenta(network: nn.HybridBlock) -> dict[str, float]:
    nodes = json.loads(network(mx.sym.var("data")).tojson())["nodes"]
    return {
        nodes[index]["name"]: float(node["attrs"]["momentum"])
        for node in nodes
        if node["op"] == "BatchNorm"
        for index, *_ in node["inputs"][3:]
    }
