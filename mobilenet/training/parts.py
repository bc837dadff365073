"""What the configuration makes of the data and the network."""

from __future__ import annotations

import os

from mobilenet import build
from mobilenet.data.record_folder import record_digests
from mobilenet.distributed.group import Group
from mobilenet.network.graph_forms import training_form
from mobilenet.settings.schema import Config
from mobilenet.training import build as training_build
from mobilenet.training.learner import Learner
from mobilenet.training.memory import check_memory


class Parts:
    """What a run is made of.

    Attributes:
        form: Of the training graph.
        arithmetic: What the last bits depend on besides the settings, by name.
    """

    def __init__(self, config: Config, group: Group) -> None:
        self.group = group
        check_memory(config, group.size, build.gpus(config))
        self.reader = build.train_reader(config, group)
        self.split = build.eval_split(config)
        self.eval_reader = build.eval_reader(config, self.split, group)
        self.schedule = training_build.schedule(config, self.reader.steps_per_epoch)
        self.learner = Learner(config, group)
        self.form = training_form(build.contexts(config))
        self.arithmetic = {
            "OMP_NUM_THREADS": os.environ["OMP_NUM_THREADS"],
            "training graph": self.form.name,
            "channels in blocks of": f"{self.form.block_size}",
        }
        self.data_digests = {
            split: record_digests(reader.records.path)
            for split, reader in (("train", self.reader), (self.split, self.eval_reader))
        }

    def load_initial_weights(self) -> None:
        """Takes over training.initial_weights, if there are any.

        Raises:
            WeightsError: The file cannot be read or does not fit the network.
        """
        self.learner.load_initial_weights(self.reader.batches(0))
