"""Runs an ONNX file by MXNet, through MXNet's own importer."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import mxnet as mx
import numpy as np
import numpy.typing as npt

from mobilenet.errors import WeightsError
from mobilenet.onnx.runtime import OnnxModel


class ImportedModel(OnnxModel):
    """An `OnnxModel` whose outputs MXNet computes instead of ONNX Runtime.

    Raises:
        WeightsError: As for `OnnxModel`, or MXNet's importer cannot read the file: it supports only
            opset 7 in single precision.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        if self.dtype != np.float32:
            raise WeightsError(
                f"{path} takes {self.dtype}, which MXNet's importer does not know;"
                " use --engine onnxruntime"
            )
        try:
            self._block = _imported(path)
        except Exception as error:  # the importer lets any exception through
            raise WeightsError(
                f"{path}: MXNet's importer cannot read it, as it knows only opset 7 in single"
                " precision; use --engine onnxruntime"
            ) from error

    def _run(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        try:
            return np.asarray(self._block(mx.nd.array(data)).asnumpy())
        except mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1]
            raise WeightsError(f"{self.path} cannot be run by MXNet: {reason}") from error


def _imported(path: Path) -> mx.gluon.SymbolBlock:
    # The importer prints a notice of its deprecation, and gives the input no type.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Cannot decide type", UserWarning)
        symbol, arguments, auxiliary = mx.contrib.onnx.import_model(str(path))
        arrays = {**arguments, **auxiliary}
        (name,) = set(symbol.list_inputs()) - arrays.keys()
        block = mx.gluon.SymbolBlock(symbol, mx.sym.var(name))
    for key, parameter in block.collect_params().items():
        parameter.shape, parameter.grad_req = arrays[key].shape, "null"
        parameter.initialize(ctx=mx.cpu())
        parameter.set_data(arrays[key])
    block.hybridize(static_alloc=True, static_shape=True)
    return block
