"""Networks that were never trained, but whose outputs tell images apart."""

from __future__ import annotations

import mxnet as mx
import numpy as np

from mobilenet.data.eval_transforms import IMAGENET
from mobilenet.network.architecture import DIALECTS, MobileNetV2
from mobilenet.network.untrained_statistics import calibrate
from mobilenet.onnx.example_images import random_images


def random_network(dialect: str, width: float = 0.35, classes: int = 10, **other) -> MobileNetV2:
    """A network in which no parameter is what it would be without it."""
    network = MobileNetV2(width, classes, DIALECTS[dialect], **other)
    network.initialize(mx.init.MSRAPrelu())
    generator = np.random.default_rng(7)
    for name, parameter in network.collect_params().items():
        low, high = {"gamma": (0.5, 1.5), "beta": (-0.3, 0.3), "bias": (-1, 1)}.get(
            name.rsplit("_", 1)[-1], (0, 0)
        )
        if high:
            parameter.set_data(mx.nd.array(generator.uniform(low, high, parameter.shape)))
        elif name.endswith("weight"):
            fan = np.prod(parameter.shape[1:])
            values = generator.normal(0, np.sqrt(2 / fan), parameter.shape)
            parameter.set_data(mx.nd.array(values))
    calibrate(network, IMAGENET(random_images(8, 64, 3)))
    return network
