"""Checks that a batch can fit into the memory of the GPUs."""

from __future__ import annotations

from typing import Mapping

from mobilenet.errors import LESS_MEMORY, ConfigError
from mobilenet.gpus import Gpu

_BYTES = {"float32": 4, "float16": 2}


def check_memory(
    num_images: int, num_activations: int, precision: str, gpus: Mapping[str, Gpu]
) -> None:
    """Refuses a batch that cannot fit into one of `gpus`, before anything is computed.

    The backward pass reads the outputs of all convolutions, which are therefore in memory at the
    same time. A step needs more than that, so that a batch that passes may still fail in the first
    step.

    Args:
        num_images: Number of images that each GPU computes at a time.
        num_activations: Number of values that the convolutions put out for one image.
        precision: Their type, `float32` or `float16`.
        gpus: The GPUs by their names in the configuration.

    Raises:
        ConfigError: A GPU has less memory than the convolutions' outputs alone need.
    """
    needed_bytes = num_images * num_activations * _BYTES[precision]
    for name, gpu in gpus.items():
        if needed_bytes > gpu.memory_bytes:
            raise ConfigError(
                f"training.batch_size: the {num_images} images that {name} takes at a time need"
                f" more than {needed_bytes / 1e9:.1f} GB, and it has {gpu.memory_bytes / 1e9:.1f}"
                f" GB: {LESS_MEMORY}"
            )
