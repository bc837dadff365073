"""The model card: what users of an ONNX file should know about the model in it."""

from __future__ import annotations

import onnx

from mobilenet import files
from mobilenet.errors import one_line
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.network.architecture import DIALECTS
from mobilenet.onnx.metadata import Metadata
from mobilenet.onnx.writer import PRODUCER
from mobilenet.validation.validate import Validation

_UNKNOWN = "not stated in the file"
_USE = (
    "names the main thing in a photo, if it is one of the classes, and the photo is like those that"
    " the model was trained and validated on"
)
_LIMITS = (
    "it names one of its classes whatever a photo shows, and a high probability is no proof; it may"
    " be less right for kinds of photos that were rare in training, which the accuracy does not"
    " show; it was not tested for decisions about people"
)


def title(model: LoadedModel) -> str:
    """The heading of the card."""
    if not model.is_described:
        return "Image classifier"
    return f"MobileNet v2 of width {model.config.model.width_multiplier}"


def card(model: LoadedModel, metadata: Metadata) -> list[tuple[str, str]]:
    """The rows of the card: a label and its text on one line.

    Args:
        model: An ONNX file, opened.
        metadata: What the file says of itself, and what else is known.
    """
    rows = {
        "Network": _network(model),
        "Classes": f"{model.config.model.classes:,}",
        "Input": _input(model),
        "Accuracy": accuracy_text(metadata),
        "Integers": metadata.quantization,
        "Calibrated on": metadata.calibrated_on,
        "Training": metadata.trained or _UNKNOWN,
        "Weights": metadata.source,
        "Licence of the weights": metadata.license or _UNKNOWN,
        **_file(model, metadata),
        "Intended use": _USE,
        "Limits": _LIMITS,
    }
    return [(label, one_line(text)) for label, text in rows.items() if text is not None]


def accuracy_text(metadata: Metadata) -> str:
    """Both accuracies in percent, and what they were measured on."""
    if metadata.top1_accuracy is None or metadata.top5_accuracy is None:
        return _UNKNOWN
    images = "" if metadata.num_validated is None else f" on {metadata.num_validated:,} images"
    where = "" if metadata.validated_on is None else f" ({metadata.validated_on})"
    top1, top5 = (100 * value for value in (metadata.top1_accuracy, metadata.top5_accuracy))
    return f"top-1 {top1:.2f} %, top-5 {top5:.2f} %{images}{where}"


def accuracy_of(validation: Validation) -> Metadata:
    """The accuracies of a validation as metadata."""
    counts = validation.counts
    return Metadata(
        top1_accuracy=counts.top1,
        top5_accuracy=counts.top5,
        num_validated=counts.num_images,
        validated_on=validation.data.path.name,
    )


def _network(model: LoadedModel) -> str | None:
    if not model.is_described:
        return None
    network = model.config.model
    depth = "" if network.depth_multiplier == 1 else f", depth {network.depth_multiplier:g}"
    activation = network.activation or DIALECTS[network.dialect].activation
    names = {"relu6": "ReLU6", "relu": "ReLU"}
    return (
        f"MobileNet v2 (Sandler et al., 2018) of width {network.width_multiplier}{depth}, dialect"
        f" '{network.dialect}', {names[activation]}"
    )


def _input(model: LoadedModel) -> str:
    transform = model.transform
    turned = "turned" if transform.exif_orientation == "apply" else "not turned"
    return (
        f"the central {transform.size_text} pixels of a photo that is resized to a short side of"
        f" {transform.short_side} ({transform.name}); in training and validation photos were"
        f" {turned} as their EXIF orientation says"
    )


def _file(model: LoadedModel, metadata: Metadata) -> dict[str, str | None]:
    file = onnx.load(str(model.path), load_external_data=False)
    (opset,) = (e.version for e in file.opset_import if e.domain in ("", "ai.onnx"))
    proof = None
    if file.producer_name == PRODUCER:
        kind = "" if metadata.quantization is None else " in single precision"
        proof = (
            f"before it got its name, {file.producer_name} {file.producer_version} had onnx check"
            f" the file and compared its outputs{kind} with those of the network in MXNet"
        )
    return {
        "Proof": proof,
        "File": f"ONNX opset {opset}, IR version {file.ir_version},"
        f" {model.path.stat().st_size:,} bytes",
        "SHA-256": files.sha256_of(model.path),
    }
