"""Runs an ONNX image classifier by ONNX Runtime, and reads its metadata."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
import onnxruntime

from mobilenet.errors import WeightsError
from mobilenet.onnx.metadata import (
    UNTRAINED,
    UNTRAINED_GRAPH,
    Metadata,
    from_properties,
    settings_of,
)

# ONNX Runtime warns about every initializer that is also an input, as in files of opset 7.
_ERRORS_ONLY = 3
_DTYPES = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}


class OnnxModel:
    """An image classifier in an ONNX file, whichever program wrote it.

    Args:
        path: The file.
        threads: Number of threads that compute, by default one per processor core.
        gpu: Number of the GPU that computes, if the installed ONNX Runtime can; None for the CPU.
        content: The bytes of a file that is not on the disk; `path` is then only its name.

    Raises:
        WeightsError: `path` cannot be read, is not ONNX, or is not an image classifier with one
            input `(N, 3, H, W)` and one output `(N, classes)`.
    """

    def __init__(
        self,
        path: Path,
        threads: Optional[int] = None,
        gpu: int | None = None,
        content: bytes | None = None,
    ) -> None:
        self.path = path
        if content is None and not path.is_file():
            raise WeightsError(f"{path} is not a file")
        try:
            self._session = _session(content or str(path), threads, gpu)
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise WeightsError(
                f"{path} is not an ONNX model that can be run: {_reason(error)}"
            ) from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise WeightsError(
                f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; an image classifier "
                "has one of each"
            )
        self._input, self._output = inputs[0], outputs[0]
        if len(self._input.shape) != 4 or self._input.shape[1] != 3 or not self._has_class_scores():
            raise WeightsError(
                f"{path} takes {self._input.shape} and gives {self._output.shape}; an image "
                "classifier takes (N, 3, H, W) and gives (N, classes)"
            )
        if self._input.type not in _DTYPES:
            raise WeightsError(f"{path} takes {self._input.type}; float or uint8 would be right")

    def _has_class_scores(self) -> bool:
        return len(self._output.shape) == 2 and isinstance(self._output.shape[1], int)

    @cached_property
    def metadata(self) -> Metadata:
        """What the file says about itself."""
        meta = self._session.get_modelmeta()
        facts = from_properties(meta.custom_metadata_map)
        is_untrained = meta.graph_name == UNTRAINED_GRAPH
        return dataclasses.replace(facts, source=UNTRAINED) if is_untrained else facts

    @property
    def class_names(self) -> tuple[str, ...]:
        """One line per class, in label order; empty if the file has none."""
        return self.metadata.class_names

    def settings(self) -> str:
        """The configuration that describes the file and its input, as YAML."""
        metadata = self.metadata
        if metadata.resolution is None and self.resolution is not None:
            metadata = dataclasses.replace(metadata, resolution=max(self.resolution))
        return settings_of(metadata, self.num_classes)

    @property
    def input_name(self) -> str:
        """The name of the input."""
        return str(self._input.name)

    @property
    def output_name(self) -> str:
        """The name of the output."""
        return str(self._output.name)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the input: float32 or uint8."""
        return np.dtype(_DTYPES[self._input.type])

    @property
    def batch_size(self) -> Optional[int]:
        """The only batch size that the file can run, or None if it runs any."""
        return _fixed(self._input.shape[0])

    @property
    def resolution(self) -> Optional[tuple[int, int]]:
        """The only height and width in pixels that the file takes, or None if it takes several."""
        height, width = (_fixed(size) for size in self._input.shape[2:])
        return None if height is None or width is None else (height, width)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return int(self._output.shape[1])

    def predict(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The outputs `(N, classes)` for images `(N, 3, H, W)`.

        A file with a fixed batch size runs once per batch; the last one is padded. A file that
        takes uint8 also takes float32, which is rounded.

        Raises:
            WeightsError: `data` has a shape or type that the file does not take, or it cannot run.
        """
        if self.dtype == np.uint8 and data.dtype == np.float32:
            data = np.rint(data).clip(0, 255).astype(np.uint8)
        self._check(data)
        size = self.batch_size or max(1, len(data))
        outputs = []
        for start in range(0, len(data), size):
            batch = data[start : start + size]
            filler = np.zeros((size - len(batch), *data.shape[1:]), data.dtype)
            outputs.append(self._run(np.concatenate([batch, filler]))[: len(batch)])
        return np.concatenate([np.zeros((0, self.num_classes), np.float32), *outputs])

    def _run(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        try:
            (output,) = self._session.run([self._output.name], {self._input.name: data})
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise WeightsError(f"{self.path} cannot be run: {_reason(error)}") from error
        return np.asarray(output)

    def logits(self, data: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The logits `(N, classes)` for images `(N, 3, H, W)`.

        Probabilities, if the file gives those, become their logarithms.

        Raises:
            WeightsError: As for `predict`.
        """
        outputs = self.predict(data)
        if self.metadata.output != "probabilities":
            return outputs
        # The logarithm of a probability of 0 has to be finite.
        logits: npt.NDArray[np.float32] = np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
        return logits

    def _check(self, data: npt.NDArray[Any]) -> None:
        fits = data.ndim == 4 and data.shape[1] == 3 and data.dtype == self.dtype
        if not fits or self.resolution not in (None, data.shape[2:]):
            wanted = "x".join(str(size) for size in self._input.shape[1:])
            raise WeightsError(
                f"{self.path} takes images of {wanted} in {self.dtype}; these are "
                f"{'x'.join(str(size) for size in data.shape[1:])} in {data.dtype}"
            )


def _fixed(dimension: object) -> Optional[int]:
    return dimension if isinstance(dimension, int) else None


def _session(source: str | bytes, threads: Optional[int], gpu: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    if threads is not None:
        options.intra_op_num_threads = threads
    providers: list[Any] = ["CPUExecutionProvider"]
    if gpu is not None and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": str(gpu)}))
    return onnxruntime.InferenceSession(source, options, providers=providers)


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
