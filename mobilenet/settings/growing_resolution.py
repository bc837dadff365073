"""Checks `training.resolution_steps`, by which the resolution grows during a run."""

from __future__ import annotations

from typing import Optional

_LEAST, _MOST = 32, 2048

Resolutions = tuple[tuple[float, float], ...]


def first_epochs(resolutions: Resolutions, num_epochs: int) -> tuple[tuple[int, int], ...]:
    """The first epoch, from 0, of each resolution, and the resolution in pixels."""
    return tuple((round(part * num_epochs), int(pixels)) for part, pixels in resolutions)


def problem_of(resolutions: Resolutions) -> Optional[str]:
    """What is wrong with the setting by itself; None if nothing is."""
    parts, pixels = [part for part, _ in resolutions], [size for _, size in resolutions]
    if parts and parts[0] != 0:
        return f"must begin at 0, the start of the run, not at {parts[0]:g}"
    if not _rises(parts) or any(part >= 1 for part in parts):
        return "the parts of the run must rise, and stay below 1"
    if not _rises(pixels):
        return "the resolutions must rise"
    if any(size != int(size) or not _LEAST <= size <= _MOST for size in pixels):
        return f"resolutions are integers of pixels, {_LEAST} to {_MOST}"
    return None


def problem_in_run(resolutions: Resolutions, resolution: int, num_epochs: int) -> Optional[str]:
    """What contradicts `data.resolution` or `training.epochs`; None if nothing does."""
    if not resolutions:
        return None
    if resolutions[-1][1] != resolution:
        return f"must end with data.resolution (={resolution}), not {resolutions[-1][1]:g}"
    starts = [epoch for epoch, _ in first_epochs(resolutions, num_epochs)]
    if not _rises(starts) or starts[-1] >= num_epochs:
        return f"training.epochs (={num_epochs}) is too few for an epoch at each resolution"
    return None


def _rises(values: list[int] | list[float]) -> bool:
    return all(low < high for low, high in zip(values, values[1:]))
