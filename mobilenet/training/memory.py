"""Refuses a batch that is larger than the memory of a GPU."""

from __future__ import annotations

from typing import Mapping

from mobilenet import build
from mobilenet.errors import LESS_MEMORY, ConfigError
from mobilenet.gpus import Gpu
from mobilenet.network.complexity import complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.settings.schema import Config

_BYTES = {"float32": 4, "float16": 2}


def check_memory(config: Config, num_processes: int, gpus: Mapping[str, Gpu]) -> None:
    """Refuses a batch that cannot fit into one of `gpus`, before anything is computed.

    The backward pass reads what every convolution has put out, so that all of it is in memory at
    once. A step needs more than that: a batch that passes here may still fail in the first step,
    which is told then. Frozen stages keep nothing; networks with them all pass.

    Raises:
        ConfigError: A GPU has less memory than the convolutions' outputs alone need.
    """
    training = config.training
    if not gpus or training.frozen_stages:
        return
    num_parts = num_processes * len(training.devices) * training.accumulation
    num_images = training.batch_size // num_parts
    activations = complexity(symbol_of(build.network(config)), config.data.resolution).activations
    needed_bytes = num_images * activations * _BYTES[training.precision]
    for name, gpu in gpus.items():
        if needed_bytes > gpu.memory_bytes:
            raise ConfigError(
                f"training.batch_size: the {num_images} images that {name} takes at a time need"
                f" more than {needed_bytes / 1e9:.1f} GB, and it has {gpu.memory_bytes / 1e9:.1f}"
                f" GB: {LESS_MEMORY}"
            )
