"""The PyTorch side of `benchmarks/speed.py`; needs no MXNet."""

from __future__ import annotations

import json
import sys
from typing import Callable

import speed
import torch
from torch import nn
from torch_mobilenet import new_network


def train(job: speed.Job, autocast: bool) -> speed.Step:
    """A training step in channels-last layout; the update by the fused-loop NAG of torch.optim."""
    network = new_network().train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.01, momentum=0.9, weight_decay=4e-5, nesterov=True
    )
    images = channels_last(job)
    labels = torch.from_numpy(speed.random_labels(job))
    loss_of = nn.CrossEntropyLoss()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = loss_of(network(images), labels)
        loss.backward()
        optimizer.step()

    return step


def infer(job: speed.Job, autocast: bool) -> speed.Step:
    """Inference in channels-last layout, as eager PyTorch runs it."""
    network = new_network().eval().to(memory_format=torch.channels_last)
    images = channels_last(job)

    def step() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            network(images)

    return step


def channels_last(job: speed.Job) -> torch.Tensor:
    """The images of all systems in this layout."""
    images = torch.from_numpy(speed.random_images(job))
    return images.contiguous(memory_format=torch.channels_last)


MODES: dict[str, Callable[[speed.Job, bool], speed.Step]] = {"train": train, "infer": infer}


def main() -> None:
    """Is one system in one process."""
    _, _, mode, system, sizes = sys.argv
    torch.set_num_threads(speed.NUM_PROCESSORS)
    torch.manual_seed(0)
    job = speed.Job(*json.loads(sizes))
    print(json.dumps(speed.measure(MODES[mode](job, system.endswith("bfloat16")), job)))


if __name__ == "__main__":
    main()
