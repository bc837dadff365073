"""Mixup and CutMix: training on blends of two images of a batch.

Blends are drawn from the seed and the step alone, so that a resumed run repeats them.
Sources: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; Yun et al., "CutMix",
ICCV 2019.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, TypeVar

import mxnet as mx
import numpy as np
import numpy.typing as npt

Images = TypeVar("Images", mx.nd.NDArray, npt.NDArray[np.float32])


@dataclass(frozen=True)
class Box:
    """Rows `top` to `bottom` and columns `left` to `right` of an image, the ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass(frozen=True)
class Mix:
    """How the images of one batch are blended.

    Attributes:
        partner: `(N,)`: the position of the image with which each image is blended.
        own: Weight of the image's own target, 0 to 1.
        box: The area that CutMix pastes from the partner; None for mixup.
    """

    partner: npt.NDArray[np.int64]
    own: float
    box: Optional[Box]


def draw(
    key: tuple[int, ...], shape: tuple[int, ...], mixup: float, cutmix: float
) -> Optional[Mix]:
    """The blend of a batch of `shape` `(N, C, H, W)`, a pure function of its arguments.

    If both alphas are above 0, each batch gets one of the two with equal probability.

    Args:
        key: Numbers that are unique to the batch, such as (seed, step, rank).
        shape: Shape of the batch.
        mixup: Alpha of mixup's Beta(alpha, alpha); 0 for none.
        cutmix: Alpha of CutMix's; 0 for none.
    """
    if not mixup and not cutmix:
        return None
    random = np.random.default_rng(key)
    cuts = random.random() < (cutmix > 0) / ((mixup > 0) + (cutmix > 0))
    alpha = cutmix if cuts else mixup
    own = float(random.beta(alpha, alpha))
    partner = random.permutation(shape[0])
    if not cuts:
        return Mix(partner, own, None)
    height, width = shape[2:]
    box = _box(random, height, width, own)
    pasted = (box.bottom - box.top) * (box.right - box.left)
    return Mix(partner, 1 - pasted / (height * width), box)


def _box(random: np.random.Generator, height: int, width: int, own: float) -> Box:
    """A box with 1 - `own` of the area around a random centre, clipped at the border."""
    side = np.sqrt(1 - own)
    rows, columns = int(height * side), int(width * side)
    top = int(random.integers(height)) - rows // 2
    left = int(random.integers(width)) - columns // 2
    return Box(max(top, 0), min(top + rows, height), max(left, 0), min(left + columns, width))


def apply(mix: Mix, images: Images) -> Images:
    """The blended images, of the shape of `images` `(N, C, H, W)`; MXNet's or NumPy's."""
    partners = images[mix.partner]
    if mix.box is None:
        return mix.own * images + (1 - mix.own) * partners
    blended = images.copy()
    rows, columns = slice(mix.box.top, mix.box.bottom), slice(mix.box.left, mix.box.right)
    if mix.own < 1:
        blended[:, :, rows, columns] = partners[:, :, rows, columns]
    return blended
