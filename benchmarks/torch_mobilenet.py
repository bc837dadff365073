"""MobileNet v2 1.0 and its input in PyTorch, the peer of other benchmarks; needs no MXNet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Mapping

import cv2
import numpy as np
import torch
from torch import nn

from mobilenet.data.eval_transforms import TENSORFLOW, EvalTransform
from mobilenet.data.record_file import RecordFile

# Expansion, channels, repeats and stride of each row of the paper's Table 2.
ROWS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip


def convolution(
    channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Convolution, BatchNorm and ReLU6."""
    padding = kernel // 2
    layer = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
    return [layer, nn.BatchNorm2d(out), nn.ReLU6(inplace=True)]


class Block(nn.Module):
    """An inverted residual."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        layers = convolution(channels, wide) if expansion > 1 else []
        layers += convolution(wide, wide, 3, stride, groups=wide)
        layers += convolution(wide, out)[:-1]  # a linear bottleneck
        self.layers = nn.Sequential(*layers)
        self.is_residual = stride == 1 and channels == out

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The output for `images` (N, C, H, W)."""
        outputs = self.layers(images)
        return images + outputs if self.is_residual else outputs


def new_network() -> nn.Module:
    """The network with random weights."""
    layers, channels = convolution(3, 32, 3, 2), 32
    for expansion, out, repeats, stride in ROWS:
        for number in range(repeats):
            layers.append(Block(channels, out, expansion, 1 if number else stride))
            channels = out
    layers += [*convolution(channels, 1280), nn.AdaptiveAvgPool2d(1)]
    layers += [nn.Conv2d(1280, 1000, 1, bias=False), nn.Flatten()]
    return nn.Sequential(*layers)


def load_network(arrays: Mapping[str, np.ndarray]) -> nn.Module:
    """The network with the arrays as its parameters, which are in the same order."""
    network = new_network()
    places = [
        tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    ]
    assert len(places) == len(arrays)
    for place, array in zip(places, arrays.values()):
        place.copy_(torch.from_numpy(array))
    return network.eval()


def fastest(network: nn.Module, example: torch.Tensor) -> tuple[Any, torch.memory_format]:
    """The network as optimised TorchScript, and the layout of its input that is faster."""
    forms = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        images = example.contiguous(memory_format=layout)
        with torch.inference_mode():
            traced = torch.jit.trace(network.to(memory_format=layout), images)
            form = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
            forms[seconds(form, images)] = form, layout
    return forms[min(forms)]


def seconds(network: Any, images: torch.Tensor) -> float:
    """Of the fastest of three passes after two."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        network(images)
        times.append(time.perf_counter() - start)
    return min(times[2:])


class Records(torch.utils.data.Dataset):
    """Images and labels of a record file."""

    def __init__(self, path: Path, transform: EvalTransform) -> None:
        self.records, self.transform = RecordFile(path), transform

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, position: int) -> tuple[np.ndarray, int]:
        cv2.setNumThreads(0)
        return self.transform(self.records.image(position)), self.records.label(position)


def loader(job: Any, num_workers: int) -> torch.utils.data.DataLoader:
    """Batches of a job's records; the workers stay from pass to pass."""
    transform = EvalTransform("center-crop", job.resolution, job.short_side, TENSORFLOW)
    return torch.utils.data.DataLoader(
        Records(Path(job.records), transform),
        job.batch_size,
        num_workers=num_workers,
        persistent_workers=True,
    )
