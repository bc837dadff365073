"""The pre- and postprocessing of the ONNX model zoo's scripts, for code that used them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mobilenet.data.eval_transforms import IMAGENET, PREPROCESSINGS, Floats, Pixels, planes

_RESOLUTION = 224


def imagenet_preprocess(image: Pixels) -> Floats:
    """The input `(1, 3, 224, 224)` of the model zoo's networks for an RGB image `(H, W, 3)`.

    The short side becomes 256 pixels by PIL's bilinear filter, then the centre is cut out and
    normalised: what `preprocess` in the ONNX model zoo's imagenet_preprocess.py computes.
    """
    resized = PREPROCESSINGS["imagenet-preprocess"].resize(image, 256)
    top, left = (side // 2 - _RESOLUTION // 2 for side in resized.shape[:2])
    crop = resized[top : top + _RESOLUTION, left : left + _RESOLUTION]
    return IMAGENET(planes(crop))[np.newaxis]


def imagenet_postprocess(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The labels `(classes,)` by falling probability for the logits `(1, classes)` of one image.

    What `postprocess` in the ONNX model zoo's imagenet_postprocess.py computes. Softmax keeps the
    order, so it is left out; probabilities too small for float32 are ordered all the same.
    """
    return np.argsort(-np.squeeze(scores), kind="stable")
