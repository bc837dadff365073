"""Writes a network as MXNet's own files: symbol and parameters, or parameters for gluoncv.

Both are the plain network, without fused or padded operators: normalised images in, logits out.
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Mapping, Union

import mxnet as mx
import numpy as np
import numpy.typing as npt
from mxnet import gluon

from mobilenet import files
from mobilenet.data.eval_transforms import IMAGENET
from mobilenet.errors import UserError, VerificationError
from mobilenet.network.architecture import DIALECTS, MobileNetV2, parameter_arrays
from mobilenet.network.float64_logits import float64_logits
from mobilenet.network.graph_forms import symbol_of
from mobilenet.network.params_file import write_arrays
from mobilenet.network.weights import gluon_positions
from mobilenet.onnx.example_images import random_images
from mobilenet.onnx.export_verification import Difference
from mobilenet.settings.schema import Config

_SEED = 0
_NUM_IMAGES = 3
_DIALECT = "gluoncv"

Floats = npt.NDArray[Union[np.float32, np.float64]]


def symbol_files(prefix: Path) -> tuple[Path, Path]:
    """The paths of symbol and parameters, as `HybridBlock.export` and `Module` name them."""
    names = (f"{prefix.name}-symbol.json", f"{prefix.name}-0000.params")
    return prefix.with_name(names[0]), prefix.with_name(names[1])


def write_symbol(network: gluon.HybridBlock, prefix: Path, size: tuple[int, int]) -> float:
    """Writes PREFIX-symbol.json and PREFIX-0000.params, which need no Python code of the network.

    SymbolBlock.imports, Module.load, the C predict API and TVM read them: the input is `data`, the
    names of parameters begin with `arg:`, and those of running statistics with `aux:`. They get
    their names once SymbolBlock and Module have computed the network's outputs with them.

    Args:
        network: Its input is `(N, 3, H, W)`, its output `(N, classes)`.
        prefix: Path and first part of the names.
        size: Height and width of the images that are compared.

    Returns:
        The largest difference of a logit, relative to the largest logit.

    Raises:
        VerificationError: They compute something else; older files of these names are untouched.
    """
    mx.nd.waitall()  # inference on CPUs reorders weights in place
    symbol, arrays = symbol_of(network), parameter_arrays(network)
    statistics = set(symbol.list_auxiliary_states())
    named = {f"{'aux' if name in statistics else 'arg'}:{name}": a for name, a in arrays.items()}
    graph, parameters = symbol_files(prefix)
    with files.replaced(graph) as new_graph, files.replaced(parameters) as new_parameters:
        new_graph.write_text(symbol.tojson(), encoding="utf-8")
        _write_parameters(new_parameters, named)
        return _proven(network, (new_graph, new_parameters), size)


def _write_parameters(path: Path, arrays: Mapping[str, mx.nd.NDArray]) -> None:
    with path.open("wb") as file:
        write_arrays(file, arrays)


def _proven(network: gluon.HybridBlock, paths: tuple[Path, Path], size: tuple[int, int]) -> float:
    """Compares what MXNet computes with the files with the network's own outputs."""
    images = IMAGENET(random_images(_NUM_IMAGES, size, _SEED))
    data = mx.nd.array(images)
    exact = float64_logits(network, images.astype(np.float64))
    expected = network(data).asnumpy()
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder, "net")
        for link, path in zip(symbol_files(prefix), paths):
            link.symlink_to(path.resolve())
        outputs = (_by_symbol_block(prefix, data), _by_module(prefix, data))
    largest = float(np.abs(expected).max()) or 1.0
    rounding, *relative = (
        float(np.abs(given - expected).max()) / largest for given in (exact, *outputs)
    )
    result = Difference(_NUM_IMAGES, 0, max(relative) * largest, max(relative), rounding)
    if not result.relative <= result.tolerance:  # also if it is not a number
        raise VerificationError(
            f"MXNet computes something else with the symbol than with the network: logits differ by"
            f" {result.relative:.2g} of the largest"
        )
    return result.relative


def _by_symbol_block(prefix: Path, data: mx.nd.NDArray) -> Floats:
    graph, parameters = map(str, symbol_files(prefix))
    with warnings.catch_warnings():
        # It gives the input no type before it sees data.
        warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
        block = gluon.SymbolBlock.imports(graph, ["data"], parameters)
    outputs: Floats = block(data).asnumpy()
    return outputs


def _by_module(prefix: Path, data: mx.nd.NDArray) -> Floats:
    module = mx.mod.Module.load(str(prefix), 0, label_names=None)
    module.bind([("data", data.shape)], for_training=False)
    module.forward(mx.io.DataBatch([data]), is_train=False)
    outputs: Floats = module.get_outputs()[0].asnumpy()
    return outputs


def check_gluoncv(config: Config) -> None:
    """Checks that gluoncv's MobileNetV2 has the layers of the configured network.

    Raises:
        UserError: It lacks some, or computes something else with them.
    """
    wanted = DIALECTS[_DIALECT]
    model = config.model
    own = DIALECTS[model.dialect]
    activation = model.activation or own.activation
    reasons = [
        (model.depth_multiplier != 1, f"has no depth multiplier such as {model.depth_multiplier}"),
        (own.classifier_bias, "has no bias in its classifier"),
        (own.expands_first_block, "has no expansion in its first block"),
        (activation != wanted.activation, f"computes {wanted.activation}, not {activation}"),
    ]
    for differs, reason in reasons:
        if differs:
            raise UserError(
                f"--gluoncv: gluoncv's MobileNetV2 {reason}, so it cannot take the weights of the"
                f" dialect '{model.dialect}'; --gluon writes them for all of MXNet"
            )


def write_gluoncv(network: MobileNetV2, config: Config, path: Path) -> str:
    """Writes the parameters by the names of gluoncv's `save_parameters`; returns how to load them.

    Raises:
        UserError: As `check_gluoncv`.
    """
    check_gluoncv(config)
    mx.nd.waitall()
    with files.replaced(path) as temporary:
        _write_parameters(temporary, gluon_positions(parameter_arrays(network)))
    model = config.model
    arguments = f"{model.width_multiplier}, classes={model.classes}"
    return f"gluoncv.model_zoo.MobileNetV2({arguments}).load_parameters({str(path)!r})"
