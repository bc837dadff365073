"""Detects dialect, width, depth and number of classes of a MobileNet v2 from its arrays' shapes."""

from __future__ import annotations

import itertools
from typing import Iterator, Mapping, NamedTuple, Optional

from mobilenet.network.architecture import DIALECTS, STAGES, scaled_channels, scaled_repeats

Shapes = Mapping[str, tuple[int, ...]]

# Published ones first, then finer and finer steps up to the largest that a configuration may have.
_COMMON = (1.0, 0.75, 0.5, 0.35, 0.25, 1.4, 1.3, 0.1, 1.5, 2.0)
_COMMON_DEPTHS = (1.0, 1.2, 1.4)
_STEPS_PER_UNIT = (20, 100, 1000)
_LARGEST = 10


class Detected(NamedTuple):
    """A network, in the terms of the configuration's section `model`."""

    dialect: str
    width_multiplier: float
    depth_multiplier: float
    classes: int


def detect(shapes: Shapes, width: Optional[float] = None) -> Detected:
    """The network whose channels agree best with `shapes`, which are by the package's names.

    Several width multipliers may give the same channels; then it is `width`, or else the most
    common or roundest of them.
    """
    given, depth = _channels(shapes), _depth(shapes)
    candidates = _candidates(width)
    networks = ((name, w) for w in candidates for name in _dialects(shapes))
    best, most = ("", 0.0), -1
    for name, candidate in networks:
        channels = scaled_channels(candidate, DIALECTS[name], depth)
        hits = sum(a == b for a, b in zip(channels, given))
        if hits > most:
            best, most = (name, candidate), hits
        if hits == len(given):
            break
    return Detected(*best, depth, _length(shapes, "classifier_weight"))


def repeats_of(num_blocks: int) -> tuple[int, ...]:
    """Number of blocks in each stage for their total number; the paper's if none fits.

    Depth multipliers with the same total have the same number of blocks in every stage.
    """
    found = (scaled_repeats(depth) for depth in _depths())
    return next((repeats for repeats in found if sum(repeats) == num_blocks), scaled_repeats(1.0))


def _depth(shapes: Shapes) -> float:
    """The roundest depth multiplier with the same number of blocks in every stage."""
    given = tuple(
        sum(name.endswith("_project_conv_weight") for name in shapes if name.startswith(stage))
        for stage in (f"stage{row}_" for row, _ in enumerate(STAGES, start=1))
    )
    return next((depth for depth in _depths() if scaled_repeats(depth) == given), 1.0)


def _depths() -> Iterator[float]:
    # Numbers of blocks change at halves, thirds and quarters; steps of 0.01 find all of them.
    return itertools.chain(
        _COMMON_DEPTHS,
        (k / 10 for k in range(1, 10 * _LARGEST + 1)),
        (k / 100 for k in range(1, 100 * _LARGEST + 1)),
    )


def _channels(shapes: Shapes) -> list[int]:
    projections = [f"stage{row}_block0_project" for row, _ in enumerate(STAGES, 1)]
    return [_length(shapes, f"{layer}_conv_weight") for layer in ("stem", *projections, "head")]


def _length(shapes: Shapes, name: str) -> int:
    # Missing arrays are reported when the arrays are loaded into the network.
    return (*shapes.get(name, ()), 1)[0]


def _dialects(shapes: Shapes) -> list[str]:
    """Dialects that have these layers; first the one whose classifier agrees."""
    expands_first = "stage1_block0_expand_conv_weight" in shapes
    has_bias = "classifier_bias" in shapes
    names = [n for n, d in DIALECTS.items() if d.expands_first_block == expands_first]
    return sorted(names, key=lambda name: DIALECTS[name].classifier_bias != has_bias)


def _candidates(width: Optional[float]) -> Iterator[float]:
    # A file's metadata may be anything.
    own = (width,) if isinstance(width, (int, float)) and 0 < width <= _LARGEST else ()
    steps = (
        k / per_unit for per_unit in _STEPS_PER_UNIT for k in range(1, _LARGEST * per_unit + 1)
    )
    return itertools.chain(own, _COMMON, steps)
