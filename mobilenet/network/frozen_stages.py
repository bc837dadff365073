"""Leading parts of the network that fine-tuning leaves as they are."""

from __future__ import annotations

from mxnet import gluon
from mxnet.gluon import nn

PARTS = ("stem", *(f"stage{row}" for row in range(1, 8)), "head")
"""What a network consists of before the classifier, in order, as its parameters are named."""


def freeze(network: gluon.HybridBlock, num_parts: int) -> None:
    """Keeps the first `num_parts` of `PARTS` from changing: weights and running statistics.

    Their BatchNorm normalises by the running statistics in training too.
    """
    frozen = tuple(f"{part}_" for part in PARTS[:num_parts])
    for name, parameter in network.collect_params().items():
        if name.startswith(frozen):
            parameter.grad_req = "null"

    def freeze_norm(block: gluon.Block) -> None:
        if isinstance(block, nn.BatchNorm) and block.name.startswith(frozen):
            block._kwargs["use_global_stats"] = True  # Gluon has no setter for it

    network.apply(freeze_norm)
