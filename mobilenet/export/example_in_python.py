"""The example in Python: ONNX Runtime, and OpenCV or Pillow, whichever `predict` resizes with."""

from __future__ import annotations

from typing import Sequence

from mobilenet.export.example_subject import Subject, filled, in_loop, quoted

_OPENCV = """\
image = cv2.imread(photo)  # upright, as its EXIF orientation says
if image is None:
    sys.exit(f"{photo}: OpenCV cannot read it")
image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
"""
_PILLOW = """\
image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
"""
_KEPT = "{} = (side * SHORT // min({}) for side in {})\n"
_BY_OPENCV = "image = cv2.resize(image, (width, height), interpolation=cv2.INTER_{})\n"
_BY_PILLOW = "image = np.asarray(image.resize((width, height), Image.Resampling.{}))\n"
_OPENCV_KEPT = _OPENCV + _KEPT.format("height, width", "image.shape[:2]", "image.shape[:2]")
_PILLOW_KEPT = _PILLOW + _KEPT.format("width, height", "image.size", "image.size")
_SQUASH = "width = height = SHORT\n"
_ROUNDED = "width, height = (round(SHORT / min(image.size) * side) for side in image.size)\n"
# By the names in mobilenet/data/eval_transforms.py.
_RESIZED = {
    "center-crop": _OPENCV_KEPT + _BY_OPENCV.format("LINEAR"),
    "center-crop-area": _OPENCV_KEPT + _BY_OPENCV.format("AREA"),
    "center-crop-cubic": _OPENCV_KEPT + _BY_OPENCV.format("CUBIC"),
    "center-crop-pil": _PILLOW_KEPT + _BY_PILLOW.format("BILINEAR"),
    "center-crop-pil-cubic": _PILLOW_KEPT + _BY_PILLOW.format("BICUBIC"),
    "squash": _OPENCV + _SQUASH + _BY_OPENCV.format("LINEAR"),
    "squash-pil": _PILLOW + _SQUASH + _BY_PILLOW.format("BILINEAR"),
    "squash-256": _OPENCV + _SQUASH + _BY_OPENCV.format("LINEAR"),
    "squash-224": _OPENCV + _SQUASH + _BY_OPENCV.format("LINEAR"),
    "imagenet-preprocess": _PILLOW + _ROUNDED + _BY_PILLOW.format("BILINEAR"),
}
_LINES = 'json.loads(session.get_modelmeta().custom_metadata_map["class_names"])'
# A name is without its WordNet id, unless another class has the same one.
_SPOKEN = f"""\
lines = {_LINES}
words = [line.partition(" ")[2] for line in lines]
names = [word if words.count(word) == 1 else line for word, line in zip(words, lines)]
"""
_SOFTMAX = """\
probabilities = np.exp(outputs - outputs.max())
probabilities /= probabilities.sum()
"""


def in_python(subject: Subject) -> str:
    """The program's text."""
    height, width = subject.transform.size
    resized = _RESIZED[subject.transform.name].replace("SHORT", str(subject.transform.short_side))
    is_opencv = "cv2" in resized
    module = "import cv2\nimport numpy as np\nimport onnxruntime"
    if not is_opencv:
        module = "import numpy as np\nimport onnxruntime\nfrom PIL import Image, ImageOps"
    names = _names(subject)
    text = filled(
        "python.txt",
        {
            "package": "opencv-python" if is_opencv else "pillow",
            "imports": module,
            "model": quoted(subject.path.name),
            "names": names,
            "image": in_loop(resized),
            "height": height,
            "width": width,
            "data": in_loop(_data(subject)),
            "probabilities": in_loop(
                "probabilities = outputs" if subject.gives_probabilities else _SOFTMAX
            ),
        },
    )
    return text if "json." in names else text.replace("import json\n", "")


def needs_classes_file(subject: Subject) -> bool:
    """Whether the names cannot be taken from the ONNX file alone."""
    return "HERE" in _names(subject)


def _names(subject: Subject) -> str:
    lines = subject.metadata.class_names
    if lines and lines == subject.names:
        return f"names = {_LINES}"
    if lines and _without_ids(lines) == subject.names:
        return _SPOKEN.rstrip()
    return f'names = (HERE / {quoted(subject.classes_file)}).read_text("utf-8").split("\\n")'


def _without_ids(lines: Sequence[str]) -> tuple[str, ...]:
    """What `_SPOKEN` makes of the lines."""
    words = [line.partition(" ")[2] for line in lines]
    return tuple(word if words.count(word) == 1 else line for word, line in zip(words, lines))


def _data(subject: Subject) -> str:
    transform = subject.transform
    if subject.takes_pixels:
        data = f"image.astype(np.{subject.dtype})"
    else:
        mean, std = (list(v) for v in (transform.normalization.mean, transform.normalization.std))
        data = f"((image / 255 - {mean}) / {std}).astype(np.float32)"
    lines = [f"data = {data}", "data = data.transpose(2, 0, 1)[np.newaxis]"]
    if subject.batch > 1:
        lines.append(
            f"data = np.repeat(data, {subject.batch}, axis=0)  # it takes this many at once"
        )
    return "\n".join(lines)
