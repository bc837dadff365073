"""Heat maps of what in an image speaks for its most probable class: Grad-CAM.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, equations 1 and 2, on the network's last feature map. As a pooling and a
linear classifier follow it, the maps are also those of CAM (Zhou et al., CVPR 2016) above 0.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import mxnet as mx
import numpy as np
import numpy.typing as npt

from mobilenet import files
from mobilenet.data.eval_transforms import Normalization
from mobilenet.network.architecture import MobileNetV2

Floats = npt.NDArray[np.float32]
_MIN_PIXELS = 400  # of the pictures: those of 224 px would be small on a screen
_OPACITY = 0.6


def grad_cam(network: MobileNetV2, images: Floats, classes: npt.NDArray[np.int64]) -> Floats:
    """What speaks for one class in each image.

    Args:
        network: On the CPU.
        images: `(N, 3, H, W)`, normalised.
        classes: `(N,)`, the label that is asked about for each image.

    Returns:
        `(N, h, w)` of the size of the last feature map, 0 to 1: the largest value of each map is 1,
        unless nothing speaks for the class.
    """
    *layers, pooling = network.features
    maps: Any = mx.nd.array(images)
    for layer in layers:
        maps = layer(maps)
    maps.attach_grad()
    with mx.autograd.record(train_mode=False):
        logits = network.classifier(pooling(maps))
        of_class = mx.nd.pick(logits, mx.nd.array(classes))
    of_class.backward()
    weights = maps.grad.mean(axis=(2, 3), keepdims=True)
    heat = mx.nd.relu((weights * maps).sum(axis=1)).asnumpy()
    largest = heat.max(axis=(1, 2), keepdims=True)
    scaled: Floats = heat / np.where(largest > 0, largest, 1)
    return scaled


class HeatMaps:
    """Writes a picture for each image: what the network saw of it, under the heat of its class.

    Args:
        network: On the CPU.
        normalization: Of its input.
        folder: Gets `NAME.jpg` for each image, or `NAME-2.jpg` where that is of another one.
    """

    def __init__(self, network: MobileNetV2, normalization: Normalization, folder: Path) -> None:
        self._network, self._folder = network, folder
        self._scale = (normalization.mean, normalization.std)
        self._taken: set[Path] = set()

    def write(self, names: list[str], images: Floats, classes: npt.NDArray[np.int64]) -> list[Path]:
        """The paths of the pictures of `images`, as for `grad_cam`, in their order."""
        heats = grad_cam(self._network, images, classes)
        return [self._write(*one) for one in zip(names, images, heats)]

    def _write(self, name: str, image: Floats, heat: Floats) -> Path:
        path = self._path(Path(name).stem)
        picture = overlay(self._pixels(image), heat)
        _, content = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        files.write_bytes(path, content.tobytes())
        return path

    def _path(self, stem: str) -> Path:
        numbered = (self._folder / f"{stem}-{number}.jpg" for number in itertools.count(2))
        candidates = itertools.chain([self._folder / f"{stem}.jpg"], numbered)
        path = next(path for path in candidates if path not in self._taken)
        self._taken.add(path)
        return path

    def _pixels(self, image: Floats) -> npt.NDArray[np.uint8]:
        mean, std = (np.reshape(part, (3, 1, 1)) for part in self._scale)
        values = np.clip(image * std + mean, 0, 1).transpose(1, 2, 0)
        return _as_bytes(255 * values)


def overlay(pixels: npt.NDArray[np.uint8], heat: Floats) -> npt.NDArray[np.uint8]:
    """The image `(H, W, 3)`, RGB, at least 400 pixels high, tinted where `heat` `(h, w)` is high.

    What is cold looks as it is.
    """
    scale = -(-_MIN_PIXELS // pixels.shape[0])
    size = (pixels.shape[1] * scale, pixels.shape[0] * scale)
    large = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(_as_bytes(255 * smooth), cv2.COLORMAP_TURBO)[..., ::-1]
    opacity = _OPACITY * smooth[..., None]
    return _as_bytes(large * (1 - opacity) + colours * opacity)


def _as_bytes(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    rounded: npt.NDArray[np.uint8] = np.rint(values).astype(np.uint8)
    return rounded
