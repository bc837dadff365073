"""Opens a model of any kind as a classifier that ONNX Runtime computes, in whatever thread.

MXNet's operators must not be called by several threads; ONNX Runtime's may. A network of MXNet is
therefore written as ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from mobilenet import files
from mobilenet.data.eval_transforms import Normalization
from mobilenet.inference.network_as_onnx import network_as_onnx
from mobilenet.inference.open_model import open_model
from mobilenet.metrics import Predict
from mobilenet.onnx.runtime import OnnxModel
from mobilenet.runs.described_weights import parameters_at

# A run that trained on GPUs can also be opened where there are none.
_ON_CPU = ("training.devices=[cpu]", "training.precision=float32")


@dataclass(frozen=True)
class Classifier:
    """A model that any thread may call.

    Attributes:
        name: The model, as it was named.
        sha256: Of the file of its weights.
        size: Height and width of its input in pixels.
        normalization: Of its input.
        class_names: One line per class, in label order; empty if unknown.
        num_classes: Number of classes.
        logits: From normalised images `(N, 3, H, W)` to logits `(N, classes)`.
    """

    name: str
    sha256: str
    size: tuple[int, int]
    normalization: Normalization
    class_names: tuple[str, ...]
    num_classes: int
    logits: Predict


def open_classifier(
    name: str, overrides: Sequence[str] = (), threads: int | None = None, gpu: int | None = None
) -> Classifier:
    """Opens a published name, a run, a checkpoint or a file of weights.

    Args:
        name: The model, as for `open_model`.
        overrides: Settings, `key.sub=value`, that replace those of the model.
        threads: Number of threads that compute, by default one per processor core.
        gpu: Number of the GPU that computes, if the installed ONNX Runtime can; None for the CPU.

    Raises:
        UserError: As for `open_model`.
    """
    model = open_model(name, overrides=[*overrides, *_ON_CPU])
    file = parameters_at(model.file)
    written = None if model.network is None else network_as_onnx(model.network)
    runs = OnnxModel(file, threads, gpu, written)
    transform = model.transform
    return Classifier(
        name,
        files.sha256_of(file),
        transform.size,
        transform.normalization,
        model.class_names,
        model.config.model.classes,
        # The file of a network of MXNet has logits; what another file has, it says itself.
        runs.logits,
    )
