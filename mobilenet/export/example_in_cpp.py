"""The example in C++: OpenCV alone, for the image and for the network."""

from __future__ import annotations

import onnx

from mobilenet.errors import UserError
from mobilenet.export.example_subject import Subject, filled, in_loop, quoted

_KEPT = """\
const int shorter = std::min(image.cols, image.rows);
const cv::Size size(image.cols * SHORT / shorter, image.rows * SHORT / shorter);
"""
_SQUASH = "const cv::Size size(SHORT, SHORT);\n"
_RESIZE = "cv::resize(image, image, size, 0, 0, cv::INTER_{});\n"
# By the names in mobilenet/data/eval_transforms.py; OpenCV cannot resize as Pillow does.
_RESIZED = {
    "center-crop": _KEPT + _RESIZE.format("LINEAR"),
    "center-crop-area": _KEPT + _RESIZE.format("AREA"),
    "center-crop-cubic": _KEPT + _RESIZE.format("CUBIC"),
    "squash": _SQUASH + _RESIZE.format("LINEAR"),
    "squash-256": _SQUASH + _RESIZE.format("LINEAR"),
    "squash-224": _SQUASH + _RESIZE.format("LINEAR"),
}
_SOFTMAX = """\
double largest;
cv::minMaxLoc(probabilities, nullptr, &largest);
cv::exp(probabilities - largest, probabilities);
probabilities /= cv::sum(probabilities)[0];
"""
_NORMALISE = """\
image.convertTo(image, CV_32F, 1 / 255.0);
cv::subtract(image, cv::Scalar({mean}), image);
cv::divide(image, cv::Scalar({std}), image);
"""
# OpenCV 4.6 cannot read these files or computes them wrongly; 4.11 is right. Between them untried.
_NEEDS_NEW = """
#if CV_VERSION_MAJOR * 100 + CV_VERSION_MINOR < 411
#error "this model needs OpenCV 4.11 or later"
#endif
"""
_LAST_OPSET = 10
_SMALLEST = 33


def in_cpp(subject: Subject) -> str:
    """The program's text.

    Raises:
        UserError: OpenCV cannot prepare photos as the model needs it, or computes it wrongly.
    """
    height, width = subject.transform.size
    check_preprocessing(subject.transform.name, (height, width))
    return filled(
        "cpp.txt",
        {
            "needs": _NEEDS_NEW if _needs_new_opencv(subject) else "",
            "model": quoted(subject.path.name),
            "classes": quoted(subject.classes_file),
            "resize": in_loop(_resized(subject)),
            "height": height,
            "width": width,
            "normalise": in_loop(_normalised(subject)),
            "batch": subject.batch,
            "softmax": "" if subject.gives_probabilities else "\n" + in_loop(_SOFTMAX),
        },
    )


def check_preprocessing(name: str, size: tuple[int, int]) -> None:
    """Refuses a model that has no program in C++.

    Args:
        name: Of its preprocessing.
        size: Height and width of its input in pixels.

    Raises:
        UserError: OpenCV cannot prepare photos in this way, or computes such a model wrongly.
    """
    if min(size) < _SMALLEST:
        pixels = "x".join(map(str, dict.fromkeys(size)))
        raise UserError(
            f"--code cpp: OpenCV computes this model wrongly at {pixels} px;"
            f" export it for {_SMALLEST} px or more, or take py or js"
        )
    if name not in _RESIZED:
        raise UserError(
            f"--code cpp: OpenCV cannot resize as '{name}' does, which is Pillow's way;"
            " take py or js"
        )


def _needs_new_opencv(subject: Subject) -> bool:
    model = onnx.load(subject.path, load_external_data=False)
    opset = max(entry.version for entry in model.opset_import)
    types = {tensor.data_type for tensor in model.graph.initializer}
    return (
        (subject.takes_pixels and subject.batch > 1)
        or opset > _LAST_OPSET
        or onnx.TensorProto.FLOAT16 in types
    )


def _resized(subject: Subject) -> str:
    transform = subject.transform
    return _RESIZED[transform.name].replace("SHORT", str(transform.short_side))


def _normalised(subject: Subject) -> str:
    if subject.takes_pixels:
        return "image.convertTo(image, CV_32F);"
    normalization = subject.transform.normalization
    mean, std = (", ".join(map(repr, v)) for v in (normalization.mean, normalization.std))
    return _NORMALISE.format(mean=mean, std=std)
