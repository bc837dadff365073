"""Verifies that an exported file is valid and computes the same as the network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple, Optional

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
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.float64_evaluator import evaluate
from mobilenet.onnx.graph import GraphOptions
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.onnx.writer import graph_of

TOLERANCE = 1e-4
"""Largest difference of a logit in single precision, relative to the largest logit. It is raised
for a network whose own rounding errors are larger."""
HALF_TOLERANCE = 0.1
"""The same for weights in half precision, which are rounded more coarsely."""
BATCH_SIZES = (1, 2, 7)
# The tolerance in units of the network's own rounding error. Another order of summation gives
# errors of the same size.
_ROUNDINGS = 20
# A larger difference is no rounding error: MXNet computes something else than its graph says.
_MAX_TOLERANCE = 0.5
# In double precision: absolute, and as a fraction of the rounding error in single precision, which
# is 2**29 times as large.
_DOUBLE_TOLERANCE, _DOUBLE_ROUNDINGS = 1e-9, 1e-6
# Even and odd, and not square, so that nothing is the same along both axes.
_DOUBLE_SIZE = (75, 96)
# At the second, values in the first layers exceed 6.
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
    """Number of images that were compared."""
    num_same_class: int
    """Number of them with the same best class, or with one that is as good up to rounding."""
    absolute: float
    """Largest difference of a logit."""
    relative: float
    """The same, divided by the largest logit unless that is 0."""
    rounding: float
    """Relative difference between MXNet's own logits and those in double precision."""

    @property
    def tolerance(self) -> float:
        """The largest `relative` that rounding in single precision explains."""
        return min(max(TOLERANCE, _ROUNDINGS * self.rounding), _MAX_TOLERANCE)


def verify_export(
    path: Path, network: nn.HybridBlock, options: GraphOptions, images: Optional[Pixels] = None
) -> Difference:
    """Checks the file at `path` and compares its outputs with those of MXNet.

    1. onnx checks the file.
    2. The constants must be the network's, rounded once. In double precision, where rounding hides
       nothing, the graph must give MXNet's outputs.
    3. ONNX Runtime runs the file in single precision on random images, in batches of 1, 2 and 7,
       and on `images`, in the same batches and one of all that are left. Outputs are compared as
       logits, or as logarithms of probabilities.

    Args:
        path: The ONNX file.
        network: The network that it was exported from.
        options: The options that it was exported with.
        images: uint8 `(N, 3, H, W)`.

    Raises:
        VerificationError: onnx refuses the file, the graph computes something else, an output
            differs by more than rounding explains, or the best class of an image differs. Weights
            in half precision may change the best class.
    """
    check(path)
    _prove_graph(path, network, options)
    total = compare(_runnable(path), network, options, images)
    _judge(total, options)
    return total


def _prove_graph(path: Path, network: nn.HybridBlock, options: GraphOptions) -> None:
    """Compares the file's constants and its outputs in double precision with the network's."""
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
    """The difference between the file's outputs and MXNet's, on the images of `verify_export`.

    Raises:
        WeightsError: The file cannot run on them.
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
    """The relative difference between MXNet's outputs in single and in double precision."""
    data = options.normalization(images)
    exact = float64_logits(network, data.astype(np.float64))
    single, exact = (_expected_outputs(o, options) for o in (_single_logits(network, data), exact))
    return _relative(single, exact)


def _relative(given: Outputs, expected: Outputs) -> float:
    """The largest difference, divided by the largest of `expected` unless all are 0."""
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
    """Runs onnx's full check, which infers all shapes, on the file at `path`.

    Raises:
        VerificationError: onnx refuses the file.
    """
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())
        raise VerificationError(f"onnx refuses the exported graph: {reason}") from error


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
    data = options.normalization(images)
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
    """The outputs that the file should give, in the form of `_logits`."""
    if not options.softmax:
        return logits
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return _logits(powers / powers.sum(axis=1, keepdims=True), options)


def _logits(outputs: Outputs, options: GraphOptions) -> Outputs:
    # Differences of probabilities near 0 say little; those of their logarithms do.
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
