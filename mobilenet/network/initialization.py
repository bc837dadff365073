"""Initial weights, which depend only on the seed and the parameter's name."""

from __future__ import annotations

import hashlib
import math

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import gluon

_CLASSIFIER_STD = 0.01
_CONSTANTS = {"gamma": 1.0, "running_var": 1.0, "beta": 0.0, "running_mean": 0.0, "bias": 0.0}


def initialize(
    network: gluon.HybridBlock, contexts: list[mx.Context], seed: int, form: str = "he-fan-out"
) -> None:
    """Gives every parameter of `network` its initial value on all `contexts`.

    BatchNorm starts as the identity; all weights are drawn from normal distributions.

    * `he-fan-out`: convolutions have the variance 2 / (k * k * output channels) (He et al. 2015),
      the classifier a standard deviation of 0.01, as in torchvision (models/mobilenetv2.py) and in
      d-li14/mobilenetv2.pytorch.
    * `msra-prelu`: all weights have the variance 2 / (1 + 0.25^2) / mean of fan-in and fan-out, as
      mx.init.MSRAPrelu(), which gluoncv uses.
    """
    network.initialize(ctx=contexts)
    for name, parameter in network.collect_params().items():
        parameter.set_data(mx.nd.array(initial_value(name, parameter.shape, seed, form)))


def initial_value(
    name: str, shape: tuple[int, ...], seed: int, form: str = "he-fan-out"
) -> npt.NDArray[np.float32]:
    """The initial value of the parameter `name` in one of the forms of `initialize`."""
    for ending, constant in _CONSTANTS.items():
        if name.endswith(ending):
            return np.full(shape, constant, np.float32)
    if form == "msra-prelu":
        std = _msra_prelu_std(shape)
    else:
        std = _CLASSIFIER_STD if name.startswith("classifier") else _he_std(shape)
    name_key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    random = np.random.default_rng([seed, name_key])
    return (std * random.standard_normal(shape)).astype(np.float32)


def _he_std(shape: tuple[int, ...]) -> float:
    out_channels, _, height, width = shape
    return float(np.sqrt(2 / (out_channels * height * width)))


def _msra_prelu_std(shape: tuple[int, ...]) -> float:
    # As in mx.init.Xavier, the fan-out of a depthwise convolution is 9 times its channels.
    out_channels, in_channels, *kernel = shape
    mean_fan = (out_channels + in_channels) * math.prod(kernel) / 2
    return math.sqrt(2 / (1 + 0.25**2) / mean_fan)
