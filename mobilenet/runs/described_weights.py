"""Finds the .params file of a run or checkpoint, with its configuration and class names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mobilenet import settings
from mobilenet.data.record_folder import SYNSET
from mobilenet.data.synset import read_lines, synset_of
from mobilenet.errors import WeightsError
from mobilenet.runs.checkpoint import best, checkpoint_paths
from mobilenet.runs.checkpoint_folder import is_checkpoint, read_checkpoint
from mobilenet.runs.run_folder import CONFIG, run_of
from mobilenet.settings.schema import Config


@dataclass(frozen=True)
class DescribedWeights:
    """A .params file with its configuration and class names.

    Attributes:
        file: The file.
        config: The configuration that the parameters were trained or imported with; None if
            unknown.
        class_names: One line per class, in label order; empty if unknown.
    """

    file: Path
    config: Config | None
    class_names: tuple[str, ...]


def described_weights(path: Path) -> DescribedWeights:
    """The parameters of a file, a checkpoint, or a run's best checkpoint, with their description.

    The description is that of the run or, of NAME.params, in NAME.yaml and NAME-synset.txt.

    Args:
        path: A `.params` file, the folder of a checkpoint, or that of a run.

    Raises:
        WeightsError: The folder is neither a checkpoint nor a run with a validated one, or the
            checkpoint is damaged.
        ConfigError: The configuration cannot be read.
        DataError: The class names cannot be read.
    """
    file = parameters_at(path)
    config, synset = file.with_suffix(".yaml"), synset_of(file)
    if not config.is_file():
        run = run_of(file.absolute().parent)
        if run is None:
            return DescribedWeights(file, None, _names(synset))
        config, synset = run / CONFIG, run / SYNSET
    return DescribedWeights(file, settings.load(Config, config), _names(synset))


def _names(synset: Path) -> tuple[str, ...]:
    return read_lines(synset) if synset.is_file() else ()


def weights_file(checkpoint: Path) -> Path:
    """The file with the validated parameters of the checkpoint in a folder.

    Raises:
        WeightsError: The checkpoint is incomplete, damaged or cannot be read.
    """
    return read_checkpoint(checkpoint).weights_file


def best_weights(run: Path) -> Path:
    """The file of parameters of a run's best checkpoint.

    Raises:
        WeightsError: The run has no validated checkpoint, or the best one cannot be read; the
            message names another one.
    """
    path = best(run)[0]
    try:
        return weights_file(path)
    except WeightsError as error:
        others = [other for other in checkpoint_paths(run) if other != path]
        advice = f"; the run's best is lost; another checkpoint is {others[-1]}" if others else ""
        raise WeightsError(f"{error}{advice}") from error


def parameters_at(path: Path) -> Path:
    """The file of parameters at `path`: itself, of a checkpoint, or of a run's best checkpoint.

    Raises:
        WeightsError: As for `described_weights`.
    """
    if not path.is_dir():
        return path
    return weights_file(path) if is_checkpoint(path) else best_weights(path)
