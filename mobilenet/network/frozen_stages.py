"""Freezes the stem and the first stages for fine-tuning."""

from __future__ import annotations

from mxnet import gluon
from mxnet.gluon import nn

PARTS = ("stem", *(f"stage{row}" for row in range(1, 8)), "head")
"""The parts before the classifier, in order; names of parameters begin with them."""


def freeze(network: gluon.HybridBlock, num_parts: int) -> None:
    """Freezes the weights and running statistics of the first `num_parts` of `PARTS`.

    Their BatchNorm normalises by the running statistics during training too.
    """
    frozen = tuple(f"{part}_" for part in PARTS[:num_parts])
    for name, parameter in network.collect_params().items():
        if name.startswith(frozen):
            parameter.grad_req = "null"

    def freeze_norm(block: gluon.Block) -> None:
        if isinstance(block, nn.BatchNorm) and block.name.startswith(frozen):
            block._kwargs["use_global_stats"] = True  # Gluon has no setter for it

    network.apply(freeze_norm)
