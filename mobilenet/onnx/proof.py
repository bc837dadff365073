"""The proof that a file is sound and computes what the network does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import cv2
import mxnet as mx
import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from mxnet.gluon import nn
from onnx import numpy_helper

from mobilenet.data.eval_transforms import Normalization
from mobilenet.errors import VerificationError, WeightsError
from mobilenet.network.architecture import parameter_arrays
from mobilenet.network.float64_logits import float64_logits
from mobilenet.network.graph_forms import symbol_of
from mobilenet.onnx.float64_evaluator import evaluate
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.writer import graph_of

TOLERANCE = 1e-4
"""Largest difference of a logit, relative to the largest logit, in single precision. It is more
where the network itself is further from double precision."""
HALF_TOLERANCE = 0.1
"""The same for weights in half precision: room for their rounding."""
BATCH_SIZES = (1, 2, 7)
# Of the network's own rounding errors; those of another order of sums are of the same size.
_ROUNDINGS = 20
# What differs by more is no rounding: then MXNet computes something else than its graph says.
_MAX_TOLERANCE = 0.5
# In double precision, absolute and as a part of the rounding in single precision, whose errors are
# 2**29 times as large.
_DOUBLE_TOLERANCE, _DOUBLE_ROUNDINGS = 1e-9, 1e-6
# Even and odd, and not square, so that nothing is the same along both axes.
_DOUBLE_SIZE = (75, 96)
# The second lets the first layers reach 6.
_CONTRASTS = (1, 20)
_SEED = 0
_ANY_RESOLUTION = 224
_LEAST_PROBABILITY = 1e-30

Pixels = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]
Outputs = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float32]


class Difference(NamedTuple):
    """How far a file's outputs are from MXNet's."""

    num_images: int
    """Images that were compared."""
    num_same_class: int
    """Those of them with the same best class, or one that is as good in MXNet up to rounding."""
    absolute: float
    """Largest difference of a logit."""
    relative: float
    """The same, relative to the largest logit, unless all are 0."""
    rounding: float
    """How far MXNet's logits themselves are from double precision, likewise."""

    @property
    def tolerance(self) -> float:
        """What `relative` may be if both compute the same in single precision."""
        return min(max(TOLERANCE, _ROUNDINGS * self.rounding), _MAX_TOLERANCE)


def prove(
    path: Path, network: nn.HybridBlock, options: GraphOptions, images: Optional[Pixels] = None
) -> Difference:
    """Checks the file at `path` and compares what it and MXNet make of the same images.

    In double precision, in which rounding hides nothing, the graph has to give what MXNet gives;
    its constants have to be the network's, rounded once. Then ONNX Runtime computes the file in
    single precision: random images and `images`, uint8 `(N, 3, H, W)`, both in batches of 1, 2 and
    7 and, of `images`, of all that are left. Outputs are compared as logits, or as logarithms of
    probabilities.

    Raises:
        VerificationError: onnx finds a fault in the file, the graph computes something else, an
            output differs by more than rounding explains, or an image's best class differs, which
            half precision may change.
    """
    check(path)
    _prove_graph(path, network, options)
    total = compare(_runnable(path), network, options, images)
    _judge(total, options)
    return total


def _prove_graph(path: Path, network: nn.HybridBlock, options: GraphOptions) -> None:
    """Holds the file's constants and, in double precision, its outputs against the network's."""
    model = onnx.load(str(path))
    arrays = {n: a.asnumpy().astype(np.float64) for n, a in parameter_arrays(network).items()}
    exact = graph_of(symbol_of(network), arrays, options).constants
    for tensor in model.graph.initializer:
        stored = numpy_helper.to_array(tensor)
        # Half precision is rounded from single.
        single = np.asarray(exact.get(tensor.name, stored)).astype(np.float32)
        if not np.array_equal(single.astype(stored.dtype), stored):
            raise VerificationError(
                f"the constant '{tensor.name}' of the exported graph is not the network's"
            )
    images = random_images(options.batch or 2, _DOUBLE_SIZE, _SEED)
    for contrast in _CONTRASTS:
        pixels = 128 + contrast * (images.astype(np.float64) - 128)
        data = _normalised(pixels, options.normalization)
        try:
            given = evaluate(model, exact, data if options.pixels == "normalised" else pixels)
        except ValueError as error:
            raise VerificationError(f"the exported graph cannot be computed: {error}") from error
        _judge_double(given, data, network, options)


def _judge_double(
    outputs: Outputs, data: Doubles, network: nn.HybridBlock, options: GraphOptions
) -> None:
    expected = float64_logits(network, data)
    rounding = _relative(_single_logits(network, data), expected)
    difference = _relative(_logits(outputs, options), _expected_outputs(expected, options))
    if not difference <= max(_DOUBLE_TOLERANCE, _DOUBLE_ROUNDINGS * rounding):  # nor if it is NaN
        raise VerificationError(
            "the exported graph computes something else than MXNet: in double precision outputs"
            f" differ by {difference:.2g} of the largest"
        )


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
    height, width = options.size or (_ANY_RESOLUTION, _ANY_RESOLUTION)
    batches = [random_images(n, (height, width), _SEED + n) for n in BATCH_SIZES]
    if options.size is None:
        batches.append(random_images(2, (height + 32, width + 32), _SEED))
    rounding = max(_rounding(network, options, batch) for batch in batches)
    if images is not None:
        parts = np.split(images, np.cumsum(BATCH_SIZES))
        batches += [part for part in parts if len(part)]
    return _merged([_difference(model, network, options, batch, rounding) for batch in batches])


def _rounding(network: nn.HybridBlock, options: GraphOptions, images: Pixels) -> float:
    """How far MXNet's outputs in single precision are from those in double precision."""
    data = network_input(images, options.normalization)
    exact = float64_logits(network, data.astype(np.float64))
    single, exact = (_expected_outputs(o, options) for o in (_single_logits(network, data), exact))
    return _relative(single, exact)


def _relative(given: Outputs, expected: Outputs) -> float:
    """The largest difference, relative to the largest of `expected` unless all are 0."""
    if given.shape != expected.shape:
        return math.inf
    return float(np.abs(given - expected).max()) / (float(np.abs(expected).max()) or 1)


def _single_logits(network: nn.HybridBlock, data: Outputs) -> Floats:
    context = next(iter(network.collect_params().values())).list_ctx()[0]
    logits: Floats = network(mx.nd.array(data, ctx=context)).asnumpy()
    return logits


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


def random_images(count: int, resolution: Union[int, tuple[int, int]], seed: int) -> Pixels:
    """Images `(N, 3, H, W)` that, like photographs, are smooth and have some noise.

    `resolution` is height and width in pixels, one number if they are the same.
    """
    height, width = (resolution,) * 2 if isinstance(resolution, int) else resolution
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (count, 8, 8, 3)).astype(np.float32)
    smooth = np.stack(
        [cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC) for c in coarse]
    )
    noisy = smooth + generator.normal(0, 8, smooth.shape)
    images: Pixels = np.clip(noisy, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2).copy()
    return images


def network_input(images: Pixels, normalization: Normalization) -> Floats:
    """`images`, 0 to 255, normalised as the network takes them."""
    return _normalised(images, normalization).astype(np.float32)


def _normalised(images: npt.NDArray[Any], normalization: Normalization) -> Doubles:
    mean, std = (
        np.array(values, np.float64).reshape(1, 3, 1, 1)
        for values in (normalization.mean, normalization.std)
    )
    data: Doubles = (images / 255 - mean) / std
    return data


def _difference(
    model: OnnxModel,
    network: nn.HybridBlock,
    options: GraphOptions,
    images: Pixels,
    rounding: float,
) -> Difference:
    data = network_input(images, options.normalization)
    given = model.predict(data if options.pixels == "normalised" else images.astype(model.dtype))
    a = _expected_outputs(_single_logits(network, data), options)
    if given.shape != a.shape:
        raise WeightsError(f"{model.path} gives outputs of {given.shape}, the network of {a.shape}")
    b = _logits(given, options)
    difference = Difference(len(images), 0, float(np.abs(a - b).max()), _relative(b, a), rounding)
    best = a.max(axis=1) - difference.tolerance * float(np.abs(a).max())
    num_same = int((a[np.arange(len(a)), b.argmax(axis=1)] >= best).sum())
    return difference._replace(num_same_class=num_same)


def _expected_outputs(logits: Outputs, options: GraphOptions) -> Outputs:
    """What the file's outputs, as `_logits` makes them comparable, have to be."""
    if not options.softmax:
        return logits
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return _logits(powers / powers.sum(axis=1, keepdims=True), options)


def _logits(outputs: Outputs, options: GraphOptions) -> Outputs:
    # Differences of probabilities near 0 would say nothing, so that their logarithms are compared.
    return np.log(np.maximum(outputs, _LEAST_PROBABILITY)) if options.softmax else outputs


def _merged(differences: list[Difference]) -> Difference:
    columns = list(zip(*differences))
    return Difference(sum(columns[0]), sum(columns[1]), *map(max, columns[2:]))


def _judge(difference: Difference, options: GraphOptions) -> None:
    tolerance = difference.tolerance
    if options.half_weights:
        tolerance = max(tolerance, HALF_TOLERANCE)
    if not difference.relative <= tolerance:  # also if it is not a number
        raise VerificationError(
            f"ONNX Runtime computes other outputs from the exported graph than MXNet: they differ"
            f" by {difference.relative:.2g} of the largest; at most {tolerance:.2g} is allowed"
        )
    num_others = difference.num_images - difference.num_same_class
    if num_others and not options.half_weights:
        raise VerificationError(
            f"the exported graph gives {num_others} of {difference.num_images} images another "
            "best class than MXNet"
        )
