"""Averages the weights of several checkpoints, which often generalizes better than each one."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import mxnet as mx
import numpy as np

from mobilenet import files
from mobilenet.errors import WeightsError
from mobilenet.network.params_file import write_arrays
from mobilenet.runs.checkpoint import epoch_ends
from mobilenet.runs.checkpoint_folder import read_checkpoint


def average_run(run: Path, last: int, output: Path) -> list[Path]:
    """Writes the mean weights of a run's `last` newest checkpoints at the end of epochs.

    Returns:
        The checkpoints that were averaged.

    Raises:
        WeightsError: There are fewer of them, or one is damaged.
    """
    paths = list(epoch_ends(run))
    if len(paths) < last:
        raise WeightsError(
            f"{run}: keeps {len(paths)} checkpoints that end an epoch, not {last}: lower --last, or"
            " train with a higher checkpoint.keep_last"
        )
    average_checkpoints(paths[-last:], output)
    return paths[-last:]


def average_checkpoints(paths: Sequence[Path], output: Path) -> None:
    """Writes the mean of the checkpoints' validated weights to the `.params` file `output`.

    BatchNorm's running statistics are averaged like the weights. Source: Izmailov et al.,
    "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, section 3.

    Raises:
        WeightsError: A checkpoint is damaged, `paths` is empty, or the networks differ.
    """
    if not paths:
        raise WeightsError("there is no checkpoint to average")
    checkpoints = [read_checkpoint(path) for path in paths]
    members = [checkpoint.arrays(checkpoint.state.weights) for checkpoint in checkpoints]
    shapes = [{name: array.shape for name, array in arrays.items()} for arrays in members]
    for path, other in zip(paths, shapes):
        if other != shapes[0]:
            raise WeightsError(f"{path}: holds another network than {paths[0]}")
    means = {
        name: mx.nd.array(np.mean([a[name].asnumpy() for a in members], axis=0, dtype=np.float64))
        for name in members[0]
    }
    with files.open_replaced(output) as file:
        write_arrays(file, means)
