"""Multi-crop evaluation: averages predictions over the image and its mirror image, or ten crops.

Views are cropped from the batch of a reader, so that any model and any reader can be used.
"""

from __future__ import annotations

from typing import Callable, Sequence

import numpy as np

from mobilenet.metrics import Images, Logits, Predict, log_softmax

Views = Callable[[Images], Sequence[Images]]


def flips(images: Images) -> list[Images]:
    """The images `(N, 3, H, W)` and their mirror images."""
    return [images, images[..., ::-1]]


def ten_crops(height: int, width: int) -> Views:
    """Crops four corners and the centre of larger images, each with its mirror image.

    The views are ten arrays `(N, 3, height, width)`. Source: Krizhevsky et al., "ImageNet
    Classification with Deep Convolutional Neural Networks", NIPS 2012, section 4.1, where the
    larger image is the central square of the whole one.
    """

    def views(images: Images) -> list[Images]:
        bottom, right = images.shape[2] - height, images.shape[3] - width
        corners = [(0, 0), (0, right), (bottom, 0), (bottom, right), (bottom // 2, right // 2)]
        crops = (images[:, :, top : top + height, left : left + width] for top, left in corners)
        return [view for crop in crops for view in flips(crop)]

    return views


def averaged(predict: Predict, views: Views) -> Predict:
    """A predictor that averages the probabilities that `predict` gives for the views.

    It returns their logarithms, which can be used as logits.
    """

    def predict_mean(images: Images) -> Logits:
        parts = views(images)
        logs = [log_softmax(predict(np.ascontiguousarray(part))) for part in parts]
        mean: Logits = (np.logaddexp.reduce(logs) - np.log(len(logs))).astype(np.float32)
        return mean

    return predict_mean
