"""Restores BatchNorm in weights into which it has been folded, as in many converted weights.

After folding, the stored mean is 0 and the stored variance 1, whatever the input is. Training
normalises by the statistics of the batch, so that it would start from another function than the
one that the weights compute.
"""

from __future__ import annotations

import json
from typing import Iterable, Mapping, NamedTuple, Sequence

import mxnet as mx
import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, mx.nd.NDArray]
Values = npt.NDArray[np.float64]


class Norm(NamedTuple):
    """A BatchNorm that follows a convolution without bias: their parameters by name."""

    convolution: str
    weight: str
    gamma: str
    beta: str
    mean: str
    var: str
    epsilon: float


def folded_norms(symbol: mx.sym.Symbol, arrays: Arrays) -> list[Norm]:
    """The BatchNorms of the plain graph `symbol` whose statistics in `arrays` show folding."""
    nodes = json.loads(symbol.tojson())["nodes"]
    norms = []
    for node in nodes:
        if node["op"] == "BatchNorm":
            source, *parameters = (nodes[index] for index, *_ in node["inputs"])
            gamma, beta, mean, var = (parameter["name"] for parameter in parameters)
            weight = nodes[source["inputs"][1][0]]["name"]
            epsilon = float(node["attrs"]["eps"])
            norms.append(Norm(source["name"], weight, gamma, beta, mean, var, epsilon))
    return [norm for norm in norms if _is_folded(arrays[norm.mean], arrays[norm.var])]


def _is_folded(mean: mx.nd.NDArray, var: mx.nd.NDArray) -> bool:
    variances = var.asnumpy()
    return not mean.asnumpy().any() and bool((variances == variances[0]).all())


def moments(symbol: mx.sym.Symbol, norms: Sequence[Norm]) -> mx.sym.Symbol:
    """A graph that computes the moments of the inputs of `norms` from the input of `symbol`.

    It has two outputs `(N, C, 1, 1)` for each BatchNorm: mean and mean square over each image.
    """
    internals = symbol.get_internals()
    sources = [internals[f"{norm.convolution}_output"] for norm in norms]
    # oneDNN computes pooling; MXNet's own `mean` takes ten times as long.
    return mx.sym.Group([_pooled(power) for x in sources for power in (x, x * x)])


def _pooled(values: mx.sym.Symbol) -> mx.sym.Symbol:
    return mx.sym.Pooling(values, kernel=(1, 1), global_pool=True, pool_type="avg")


def unfolded(
    norms: Sequence[Norm], arrays: Arrays, outputs: Iterable[Sequence[mx.nd.NDArray]]
) -> dict[str, mx.nd.NDArray]:
    """New parameters of `norms` and of their convolutions, with the statistics of real data.

    In inference the network computes the same with them as before.

    Args:
        norms: What `folded_norms` gives.
        arrays: The parameters of the graph.
        outputs: The outputs of `moments` for each batch.
    """
    images = [[moment.asnumpy().astype(np.float64) for moment in batch] for batch in outputs]
    means = [np.concatenate(moment).mean(axis=(0, 2, 3)) for moment in zip(*images)]
    new: dict[str, mx.nd.NDArray] = {}
    for norm, mean, mean_square in zip(norms, means[::2], means[1::2]):
        new.update(_unfolded(norm, arrays, mean, np.maximum(mean_square - mean**2, 0)))
    return new


def _unfolded(norm: Norm, arrays: Arrays, mean: Values, var: Values) -> dict[str, mx.nd.NDArray]:
    """The same gamma (x - mean) / sqrt(var + epsilon) + beta with the mean and variance of x.

    The convolution is scaled so that the variance of x is 1. Folding makes some channels much
    smaller than others, and a training step changes the direction of a smaller kernel more.
    """
    weight, gamma, beta, old_mean, old_var = (
        arrays[name].asnumpy().astype(np.float64) for name in norm[1:6]
    )
    slope = gamma / np.sqrt(old_var + norm.epsilon)
    scale = np.sqrt(var + norm.epsilon)
    new_var = var / scale**2
    values = {
        norm.weight: weight / scale[:, None, None, None],
        norm.gamma: slope * scale * np.sqrt(new_var + norm.epsilon),
        norm.beta: beta + slope * (mean - old_mean),
        norm.mean: mean / scale,
        norm.var: new_var,
    }
    return {name: mx.nd.array(value) for name, value in values.items()}
