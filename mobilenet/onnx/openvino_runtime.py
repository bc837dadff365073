"""Runs an ONNX image classifier by OpenVINO, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mobilenet.errors import UserError, WeightsError, one_line
from mobilenet.onnx.runtime import OnnxModel

_BFLOAT16 = "BF16"


class OpenVinoModel(OnnxModel):
    """An `OnnxModel` whose outputs OpenVINO computes instead of ONNX Runtime.

    It computes in single precision, where OpenVINO would by itself take the fastest one of the
    processor: bfloat16 on those with AMX.

    Args:
        path: The file.
        threads: Number of threads that compute.
        content: As for `OnnxModel`.
        in_bfloat16: Compute in bfloat16, which has 8 bits of precision where float32 has 24.

    Raises:
        UserError: OpenVINO is not installed, or the processor has no bfloat16.
        WeightsError: As for `OnnxModel`, or OpenVINO cannot read the file.
    """

    def __init__(
        self, path: Path, threads: int, content: bytes | None = None, in_bfloat16: bool = False
    ) -> None:
        core = _core()
        super().__init__(path, threads, content=content)
        if in_bfloat16 and _BFLOAT16 not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise UserError(
                "--engine openvino-bfloat16: this processor has no instructions for bfloat16; take"
                " --engine openvino"
            )
        hints = {
            "INFERENCE_PRECISION_HINT": "bf16" if in_bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        try:
            source = (str(path),) if content is None else (content, b"")
            self._compiled = core.compile_model(core.read_model(*source), "CPU", hints)
        except Exception as error:  # OpenVINO's exceptions have no common base
            raise WeightsError(
                f"{path}: OpenVINO cannot read it: {one_line(str(error))}"
            ) from error

    def _run(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        try:
            return np.asarray(self._compiled(data)[0])
        except Exception as error:
            raise WeightsError(
                f"{self.path} cannot be run by OpenVINO: {one_line(str(error))}"
            ) from error


def _core() -> Any:
    try:
        import openvino  # noqa: PLC0415  only those who ask for it have it
    except ImportError:
        raise UserError(
            "OpenVINO is not installed: pip install 'mobilenet-mxnet[openvino]'"
        ) from None
    return openvino.Core()
