"""The pre- and postprocessing of the ONNX model zoo's scripts, for code that still uses them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mobilenet.data.eval_transforms import IMAGENET, PREPROCESSINGS, Floats, planes
from mobilenet.data.image_decoding import Pixels

_RESOLUTION = 224


def imagenet_preprocess(image: Pixels) -> Floats:
    """The input `(1, 3, 224, 224)` of the model zoo's networks for an RGB image `(H, W, 3)`.

    Resizes the short side to 256 pixels by PIL's bilinear filter, takes the centre crop and
    normalises it, as `preprocess` in the ONNX model zoo's imagenet_preprocess.py does.
    """
    resized = PREPROCESSINGS["imagenet-preprocess"].resize(image, 256)
    top, left = (side // 2 - _RESOLUTION // 2 for side in resized.shape[:2])
    crop = resized[top : top + _RESOLUTION, left : left + _RESOLUTION]
    return IMAGENET(planes(crop))[np.newaxis]


def imagenet_postprocess(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The labels `(classes,)` in order of falling probability, for logits `(1, classes)`.

    What `postprocess` in the ONNX model zoo's imagenet_postprocess.py computes, but without
    softmax, which does not change the order.
    """
    return np.argsort(-np.squeeze(scores), kind="stable")
