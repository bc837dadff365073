"""The proof that a file is sound and computes what the network does."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Optional

import cv2
import mxnet as mx
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from mxnet.gluon import nn

from mobilenet.data.eval_transforms import Normalization
from mobilenet.errors import VerificationError, WeightsError
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.runtime import OnnxModel

TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the largest logit."""
HALF_TOLERANCE = 0.1
"""The same for weights in half precision: room for their rounding, not for a wrong graph."""
BATCH_SIZES = (1, 2, 7)
_SEED = 0
_ANY_RESOLUTION = 224
_LEAST_PROBABILITY = 1e-30

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Difference(NamedTuple):
    """How far a file's outputs are from MXNet's."""

    num_images: int
    """Images that were compared."""
    num_same_class: int
    """Those of them with the same best class, or one that is as good in MXNet up to `TOLERANCE`."""
    absolute: float
    """Largest difference of a logit."""
    relative: float
    """The same, relative to the largest logit, unless all are 0."""


def prove(
    path: Path, network: nn.HybridBlock, options: GraphOptions, images: Optional[Pixels] = None
) -> Difference:
    """Checks the file at `path` and compares what ONNX Runtime and MXNet make of the same images.

    They are random images and `images`, uint8 `(N, 3, H, W)`, both in batches of 1, 2 and 7 and, of
    `images`, of all that are left. Outputs are compared as logits, or as logarithms of
    probabilities.

    Raises:
        VerificationError: onnx finds a fault in the file, an output differs by more than
            `TOLERANCE` (`HALF_TOLERANCE`) of the largest one, or an image's best class differs,
            which half precision may change.
    """
    check(path)
    total = compare(_runnable(path), network, options, images)
    _judge(total, options)
    return total


def compare(
    model: OnnxModel,
    network: nn.HybridBlock,
    options: GraphOptions,
    images: Optional[Pixels] = None,
) -> Difference:
    """How far the file's outputs are from MXNet's, for the images of `prove`.

    Raises:
        WeightsError: The file cannot be run with them.
    """
    size = options.resolution or _ANY_RESOLUTION
    batches = [random_images(n, size, _SEED + n) for n in BATCH_SIZES]
    if options.resolution is None:
        batches.append(random_images(2, size + 32, _SEED))
    if images is not None:
        parts = np.split(images, np.cumsum(BATCH_SIZES))
        batches += [part for part in parts if len(part)]
    return _merged([_difference(model, network, options, batch) for batch in batches])


def _runnable(path: Path) -> OnnxModel:
    try:
        return OnnxModel(path)
    except WeightsError as error:  # for instance an opset that onnx knows and the runtime does not
        reason = str(error.__cause__).splitlines()[0]
        raise VerificationError(
            f"ONNX Runtime {onnxruntime.__version__} refuses the exported graph: {reason}"
        ) from error


def check(path: Path) -> None:
    """Onnx's full check of the file at `path`, inference of all shapes included.

    Raises:
        VerificationError: onnx finds a fault.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())
        raise VerificationError(f"onnx refuses the exported graph: {reason}") from error


def random_images(count: int, resolution: int, seed: int) -> Pixels:
    """Images `(N, 3, H, W)` that, like photographs, are smooth and have some noise."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    size = (resolution, resolution)
    smooth = np.stack([cv2.resize(c, size, interpolation=cv2.INTER_CUBIC) for c in coarse])
    noisy = smooth + generator.normal(0, 8, smooth.shape)
    images: Pixels = np.clip(noisy, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2).copy()
    return images


def network_input(images: Pixels, normalization: Normalization) -> Floats:
    """`images`, 0 to 255, normalised as the network takes them."""
    mean, std = (
        np.array(values, np.float64).reshape(1, 3, 1, 1)
        for values in (normalization.mean, normalization.std)
    )
    data: Floats = ((images / 255 - mean) / std).astype(np.float32)
    return data


def _difference(
    model: OnnxModel, network: nn.HybridBlock, options: GraphOptions, images: Pixels
) -> Difference:
    data = network_input(images, options.normalization)
    context = next(iter(network.collect_params().values())).list_ctx()[0]
    expected = network(mx.nd.array(data, ctx=context))
    given = model.predict(data if options.pixels == "normalised" else images.astype(model.dtype))
    if options.softmax:
        expected = mx.nd.softmax(expected)
    a, b = (_logits(outputs, options) for outputs in (expected.asnumpy(), given))
    largest = float(np.abs(a).max())
    chosen = a[np.arange(len(a)), b.argmax(axis=1)]
    num_same = int((chosen >= a.max(axis=1) - TOLERANCE * largest).sum())
    absolute = float(np.abs(a - b).max())
    return Difference(len(images), num_same, absolute, absolute / (largest or 1))


def _logits(outputs: Floats, options: GraphOptions) -> Floats:
    # Differences of probabilities near 0 would say nothing, so that their logarithms are compared.
    return np.log(np.maximum(outputs, _LEAST_PROBABILITY)) if options.softmax else outputs


def _merged(differences: list[Difference]) -> Difference:
    columns = list(zip(*differences))
    return Difference(sum(columns[0]), sum(columns[1]), max(columns[2]), max(columns[3]))


def _judge(difference: Difference, options: GraphOptions) -> None:
    tolerance = HALF_TOLERANCE if options.half_weights else TOLERANCE
    if not difference.relative <= tolerance:  # also if it is not a number
        raise VerificationError(
            f"the exported graph gives other outputs than MXNet: they differ by "
            f"{difference.relative:.2g} of the largest; at most {tolerance:g} is allowed"
        )
    num_others = difference.num_images - difference.num_same_class
    if num_others and not options.half_weights:
        raise VerificationError(
            f"the exported graph gives {num_others} of {difference.num_images} images another "
            "best class than MXNet"
        )
