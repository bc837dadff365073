"""What bfloat16 does to the gradient of a trained network, and how much of it is rounding.

    python benchmarks/bfloat16_gradients.py RUN

The gradient of the loss of a batch of RUN's training images, as they are augmented in its first
epoch, by its best weights. Printed are its length, and that of its projection onto the plain
graph's gradient in float32, as fractions of the latter's length, for these forms:

* float32: the fused form, as training computes it.
* bfloat16: the same as `training.precision=bfloat16` computes it, and without the factor on 6 - b
  that makes its steps finer (`batchnorm_relu6_fusion`).
* rounded: float32 operators whose stored inputs and outputs are rounded to bfloat16, in the fused
  graph without that factor, and in the plain graph, where ReLU6 is one operator.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Callable

import mobilenet  # noqa: F401  it prepares what MXNet needs

# isort: split
import mxnet as mx
import numpy as np
from header import header
from mxnet import autograd, gluon

from mobilenet.build import train_reader
from mobilenet.inference.open_model import open_model
from mobilenet.network import batchnorm_relu6_fusion as fusion
from mobilenet.network.bfloat16_graph import BFLOAT16, graph_operator

ROUNDED = ("Convolution", "BatchNorm", "_contrib_BatchNormWithReLU", "elemwise_add", "clip")
Network = gluon.HybridBlock


def fused(precision: str, factor: float | None = None) -> Callable[[Network], Network]:
    """The fused form, with its own factor on 6 - b or another one."""

    def form(network: Network) -> Network:
        kept = fusion._REST_SCALES[precision]
        fusion._REST_SCALES[precision] = factor or kept
        try:
            size = fusion.sound_block_size(precision)
            return fusion.fused_block(network, [mx.cpu()], size, precision)
        finally:
            fusion._REST_SCALES[precision] = kept

    return form


def rounded_graph(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Its float32 operators, with what they read and write rounded, but for the images."""
    nodes = json.loads(symbol.tojson())["nodes"]
    built: list[mx.sym.Symbol] = []
    for node in nodes:
        inputs = [built[index][output] for index, output, *_ in node["inputs"]]
        if node["op"] == "null":
            built.append(mx.sym.var(node["name"], attr=node.get("attrs")))
            continue
        if node["op"] == "Convolution" and nodes[node["inputs"][0][0]]["op"] != "null":
            inputs = [rounded(value) for value in inputs]
        made = graph_operator(node["op"])(*inputs, name=node["name"], **node.get("attrs", {}))
        built.append(rounded(made) if node["op"] in ROUNDED else made)
    return built[-1]


def rounded(value: mx.sym.Symbol) -> mx.sym.Symbol:
    """The value as bfloat16 stores it, in float32."""
    return mx.sym.amp_cast(mx.sym.amp_cast(value, dtype=BFLOAT16), dtype="float32")


def rounded_plain(network: Network) -> Network:
    """The plain form with rounding."""
    data = mx.sym.var("data", dtype="float32")
    return gluon.SymbolBlock(rounded_graph(network(data)), [data], network.collect_params())


def rounded_fused(network: Network) -> Network:
    """The fused form with rounding, without the factor."""
    data = mx.sym.var("data", dtype="float32")
    symbol, constants = fusion.fuse_activations(network(data), fusion.sound_block_size())
    block = gluon.SymbolBlock(rounded_graph(symbol), [data], network.collect_params())
    for name, value in constants.items():
        parameter = block.params.get(name)
        parameter.shape, parameter.grad_req = value.shape, "null"
        parameter.initialize(mx.init.Constant(value))
    return block


FORMS: dict[str, Callable[[Network], Network]] = {
    "float32": fused("float32"),
    "bfloat16": fused(BFLOAT16),
    "bfloat16, factor 1": fused(BFLOAT16, 1.0),
    "rounded, fused": rounded_fused,
    "rounded, plain": rounded_plain,
}


def gradient(run: Path, form: Callable[[Network], Network]) -> np.ndarray:
    """Of all parameters, one after the other."""
    model = open_model(run)
    batch = next(train_reader(model.config).batches(0))
    parameters = model.network.collect_params()
    for name, parameter in parameters.items():
        parameter.grad_req = "null" if "running" in name else "write"
    block = form(model.network)
    with autograd.record():
        logits = block(mx.nd.array(batch.data))
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(logits, mx.nd.array(batch.labels))
    loss.backward()
    trained = [p.grad().asnumpy().ravel() for p in parameters.values() if p.grad_req != "null"]
    return np.concatenate(trained).astype(np.float64)


def main() -> None:
    """Prints one line for each form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run of width 1.0")
    run = parser.parse_args().run
    expected = gradient(run, lambda network: network)
    square = expected @ expected
    print(header())
    for name, form in FORMS.items():
        given = gradient(run, form)
        length, projection = np.sqrt(given @ given / square), given @ expected / square
        print(f"{name:20} length {length:.4f}, projection {projection:.4f}", flush=True)


if __name__ == "__main__":
    main()
