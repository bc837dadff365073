"""The file of parameters that a run or a checkpoint stands for, and what is said of it."""

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
    """A file of parameters with what is said of them.

    Attributes:
        file: The file.
        config: The configuration that they were trained or imported with; None if nothing tells it.
        class_names: One line per class, in label order; empty if unknown.
    """

    file: Path
    config: Config | None
    class_names: tuple[str, ...]


def described_weights(path: Path) -> DescribedWeights:
    """The parameters that `path` stands for, as their run or the files beside them describe them.

    Beside NAME.params these are NAME.yaml and NAME-synset.txt.

    Raises:
        WeightsError: The folder is neither a checkpoint nor a run with one that was validated.
        ConfigError: The configuration of the parameters cannot be read.
        DataError: Their class names cannot be read.
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
    """The file of parameters that is validated and exported, of the checkpoint in a folder.

    Raises:
        WeightsError: The checkpoint is incomplete or damaged, or cannot be read.
    """
    return read_checkpoint(checkpoint).weights_file


def best_weights(run: Path) -> Path:
    """The file of parameters of a run's best checkpoint.

    Raises:
        WeightsError: The run has none that was validated, or it cannot be read; names another one.
    """
    path = best(run)[0]
    try:
        return weights_file(path)
    except WeightsError as error:
        others = [other for other in checkpoint_paths(run) if other != path]
        advice = f"; the run's best is lost, but there is {others[-1]}" if others else ""
        raise WeightsError(f"{error}{advice}") from error


def parameters_at(path: Path) -> Path:
    """The file of parameters that `path` stands for: that file, a checkpoint, or a run's best one.

    Raises:
        WeightsError: The folder is neither a checkpoint nor a run with one that was validated.
    """
    if not path.is_dir():
        return path
    return weights_file(path) if is_checkpoint(path) else best_weights(path)
