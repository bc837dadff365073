"""`mobilenet.train`: trains a network from a configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mobilenet import settings
from mobilenet.api.model import Model, load
from mobilenet.api.setting_overrides import overrides_of
from mobilenet.pretrained.absolute_paths import with_absolute_paths
from mobilenet.runs import checkpoint, run_folder
from mobilenet.settings.schema import Config
from mobilenet.settings.shipped import shipped
from mobilenet.training.training_run import train as train_run
from mobilenet.validation.accuracy_statistics import wilson_interval


class Run:
    """A finished run; see `train`.

    Attributes:
        folder: The run folder, which `load` and every command accept.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        _, self._record = checkpoint.best(self.folder)

    @property
    def top1(self) -> float:
        """Top-1 accuracy of the best checkpoint on the validation images, as a fraction."""
        return self._record.top1

    @property
    def top1_interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of `top1`: what another draw of as many images might give."""
        num_images = self._record.num_images
        return wilson_interval(round(self.top1 * num_images), num_images)

    @property
    def top5(self) -> float:
        """Top-5 accuracy of the best checkpoint, as a fraction."""
        return self._record.top5

    @property
    def epoch(self) -> int:
        """The epoch of the best checkpoint, from 1."""
        return self._record.epoch

    def load(self) -> Model:
        """The network of the best checkpoint."""
        return load(self.folder)

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        return (
            f"{self.folder}: top-1 {100 * self.top1:.2f} %, top-5 {100 * self.top5:.2f} %"
            f" in epoch {self.epoch}"
        )

    def _repr_png_(self) -> bytes | None:
        """The curves of the run."""
        curves = self.folder / run_folder.CURVES
        return curves.read_bytes() if curves.is_file() else None


def train(
    config: str | Path,
    data: str | Path | os.PathLike[str] | None = None,
    run: str | Path | None = None,
    *,
    resume: bool = False,
    **changes: Any,
) -> Run:
    """Trains a network from a YAML configuration, and writes everything into one run folder.

    Args:
        config: A YAML file; those in configs/ come with the package.
        data: Folder of record files, from `prepare`; by default that of the configuration.
        run: A new folder; by default runs/ and the name of the configuration.
        resume: Continue the run in that folder.
        **changes: Settings by name, `epochs=5`, or by section, `model={"classes": 6}`. A name that
            several sections have means the one in the section `training`.

    Raises:
        ConfigError: A setting is unknown or wrong.
        DataError: The records cannot be read.
        VerificationError: The loss is no longer finite, or the disk is full.
    """
    path = shipped(config)
    overrides = list(overrides_of(changes))
    if data is not None:
        overrides.append(f"data.directory={Path(data).absolute()}")
    parsed = settings.load(Config, path, overrides)
    folder = Path("runs") / path.stem if run is None else Path(run)
    train_run(with_absolute_paths(parsed), folder, resume)
    return Run(folder)
