"""MobileNet v2's arrays as other programs name and lay them out, written down from their sources.

torchvision/models/mobilenetv2.py, timm/models/_efficientnet_blocks.py,
keras/src/applications/mobilenet_v2.py, tensorflow/models research/slim/nets/mobilenet.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Mapping

import mxnet as mx
import numpy as np

from mobilenet.network.architecture import MobileNetV2, parameter_arrays

Arrays = dict[str, np.ndarray]
Layer = tuple[np.ndarray, list[np.ndarray]]


def layers_of(network: MobileNetV2) -> tuple[list[Layer], np.ndarray, np.ndarray]:
    """Kernel, and gamma, beta, mean, variance, of each layer in its order; the classifier's."""
    mx.nd.waitall()
    arrays = [(name, a.asnumpy()) for name, a in parameter_arrays(network).items()]
    *arrays, (_, weight), (last, bias) = arrays
    assert last == "classifier_bias"
    groups = [arrays[start : start + 5] for start in range(0, len(arrays), 5)]
    assert all(group[0][0].endswith("_conv_weight") for group in groups)
    return [(g[0][1], [array for _, array in g[1:]]) for g in groups], weight, bias


def torchvision(network: MobileNetV2) -> Arrays:
    names = [("features.0.0", "features.0.1")]
    names += [("features.1.conv.0.0", "features.1.conv.0.1")]
    names += [("features.1.conv.1", "features.1.conv.2")]
    for i in range(2, 18):
        block = f"features.{i}.conv"
        names += [(f"{block}.0.0", f"{block}.0.1"), (f"{block}.1.0", f"{block}.1.1")]
        names += [(f"{block}.2", f"{block}.3")]
    names += [("features.18.0", "features.18.1")]
    return _torch(network, names, "classifier.1")


def timm(network: MobileNetV2, repeats: tuple[int, ...] = (2, 3, 4, 3, 3, 1)) -> Arrays:
    names = [("conv_stem", "bn1")]
    names += [("blocks.0.0.conv_dw", "blocks.0.0.bn1"), ("blocks.0.0.conv_pw", "blocks.0.0.bn2")]
    for stage, number in enumerate(repeats, start=1):
        for i in range(number):
            block = f"blocks.{stage}.{i}"
            names += [(f"{block}.conv_pw", f"{block}.bn1"), (f"{block}.conv_dw", f"{block}.bn2")]
            names += [(f"{block}.conv_pwl", f"{block}.bn3")]
    names += [("conv_head", "bn2")]
    return _torch(network, names, "classifier")


def _torch(network: MobileNetV2, names: list[tuple[str, str]], classifier: str) -> Arrays:
    layers, weight, bias = layers_of(network)
    arrays = {}
    for (conv, norm), (kernel, values) in zip(names, layers):
        arrays[f"{conv}.weight"] = kernel
        kinds = ("weight", "bias", "running_mean", "running_var")
        arrays.update({f"{norm}.{kind}": value for kind, value in zip(kinds, values)})
        arrays[f"{norm}.num_batches_tracked"] = np.array(7)
    return {**arrays, f"{classifier}.weight": weight, f"{classifier}.bias": bias}


def keras(network: MobileNetV2) -> Arrays:
    names = [("Conv1", "bn_Conv1")]
    for block in ("expanded_conv", *(f"block_{i}" for i in range(1, 17))):
        parts = ("expand", "depthwise", "project")[block == "expanded_conv" :]
        names += [(f"{block}_{part}", f"{block}_{part}_BN") for part in parts]
    names += [("Conv_1", "Conv_1_bn")]
    layers, weight, bias = layers_of(network)
    arrays = {"predictions/kernel": weight.T, "predictions/bias": bias}
    for (conv, norm), layer in zip(names, layers):
        kind = "depthwise_kernel" if conv.endswith("depthwise") else "kernel"
        arrays.update(_tensorflow(f"{conv}/{kind}", norm, layer))
    return arrays


def slim(network: MobileNetV2) -> Arrays:
    """With 1 class more, the background, which comes first."""
    names = ["Conv"]
    for block in ("expanded_conv", *(f"expanded_conv_{i}" for i in range(1, 17))):
        parts = ("expand", "depthwise", "project")[block == "expanded_conv" :]
        names += [f"{block}/{part}" for part in parts]
    layers, weight, bias = layers_of(network)
    arrays = {
        "MobilenetV2/Logits/Conv2d_1c_1x1/weights": np.pad(weight, [(1, 0), (0, 0)]).T[None, None],
        "MobilenetV2/Logits/Conv2d_1c_1x1/biases": np.pad(bias, (1, 0)),
    }
    for name, layer in zip([*names, "Conv_1"], layers):
        kind = "depthwise_weights" if name.endswith("depthwise") else "weights"
        parent = f"MobilenetV2/{name}"
        arrays.update(_tensorflow(f"{parent}/{kind}", f"{parent}/BatchNorm", layer))
    return arrays


def _tensorflow(kernel: str, norm: str, layer: Layer) -> Arrays:
    axes = (2, 3, 0, 1) if "/depthwise_" in kernel else (2, 3, 1, 0)
    kinds = ("gamma", "beta", "moving_mean", "moving_variance")
    values = {f"{norm}/{kind}": value for kind, value in zip(kinds, layer[1])}
    return {kernel: layer[0].transpose(axes), **values}


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """As the format's own text describes it."""
    kinds = {"f2": "F16", "f4": "F32", "f8": "F64", "i8": "I64", "i1": "I8", "u2": "BF16"}
    header, content = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        values = np.ascontiguousarray(array).tobytes()
        place = [len(content), len(content) + len(values)]
        kind = kinds[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": place}
        content += values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)
