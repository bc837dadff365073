"""train.py that leaves behind what every rank read and what its parameters became.

WATCHED names the folder for it. With FROZEN_NORM=1, BatchNorm normalises by its running statistics,
so that no image has an effect on another and the parts of a batch may be computed anywhere.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Iterator

import mobilenet  # noqa: F401  makes MXNet importable

# isort: split

import mxnet as mx
from mxnet import gluon

from mobilenet.cli import main
from mobilenet.data.batch_reader import Batch, TrainReader
from mobilenet.network import frozen_stages
from mobilenet.training.learner import Learner

FOLDER = Path(os.environ["WATCHED"])


def freeze_norms(network: gluon.HybridBlock, num_parts: int) -> None:
    freeze(network, num_parts)

    def use_running_statistics(block: gluon.Block) -> None:
        if isinstance(block, gluon.nn.BatchNorm):
            block._kwargs["use_global_stats"] = True

    network.apply(use_running_statistics)


def noted_batches(reader: TrainReader, epoch: int, first_step: int = 0) -> Iterator[Batch]:
    for batch in batches(reader, epoch, first_step):
        with (FOLDER / f"records-{reader.rank}.txt").open("a") as file:
            for position in batch.positions:
                file.write(f"{epoch} {position}\n")
        yield batch


def noted_groups(learner: Learner) -> Any:
    found = groups(learner)
    arrays = {f"{group}/{n}": a for group, arrays in found.items() for n, a in arrays.items()}
    mx.nd.save(str(FOLDER / f"rank-{learner._group.rank}.params"), arrays)
    return found


freeze, batches, groups = frozen_stages.freeze, TrainReader.batches, Learner.groups
if os.environ.get("FROZEN_NORM"):
    frozen_stages.freeze = freeze_norms
TrainReader.batches = noted_batches  # type: ignore[method-assign]
Learner.groups = noted_groups  # type: ignore[method-assign]
sys.exit(main(["train", *sys.argv[1:]]))
