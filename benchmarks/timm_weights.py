"""Holds networks of timm with random weights against this package's, by their logits.

    python benchmarks/timm_weights.py make FOLDER      where PyTorch, torchvision and timm are
    python benchmarks/timm_weights.py check FOLDER     where this package is

The first writes NAME.safetensors with what timm's network gives for some images; the second opens
each as `mobilenet.load` does and prints how far its logits are from these.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

NAMES = ("050.lamb", "100.ra", "110d.ra", "120d.ra", "140.ra")
NUM_IMAGES, PIXELS = 2, 224


def make(folder: Path) -> None:
    """Writes random networks of timm, images and outputs."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(1)
    images = torch.randn(NUM_IMAGES, 3, PIXELS, PIXELS)
    for name in NAMES:
        network = timm.create_model(f"mobilenetv2_{name}_in1k", pretrained=False)
        network.train()
        with torch.no_grad():
            for _ in range(4):  # statistics that are those of images, not 0 and 1
                network(torch.randn(8, 3, 64, 64))
            for parameter in network.parameters():
                parameter.add_(0.05 * parameter.std(unbiased=False) * torch.randn_like(parameter))
            outputs = network.eval()(images)
        save_file(network.state_dict(), str(folder / f"mobilenetv2_{name}_in1k.safetensors"))
        np.savez(folder / f"{name}-outputs", images=images.numpy(), outputs=outputs.numpy())
        print(f"mobilenetv2_{name}_in1k: {sum(p.numel() for p in network.parameters()):,}")


def check(folder: Path) -> None:
    """Prints the largest difference of each network's logits, as a part of the largest logit."""
    import mobilenet  # before MXNet, which it repairs
    import mxnet as mx  # isort: skip

    for name in NAMES:
        model = mobilenet.load(folder / f"mobilenetv2_{name}_in1k.safetensors")
        with np.load(folder / f"{name}-outputs.npz") as known:
            images, outputs = known["images"], known["outputs"]
        ours = model.network(mx.nd.array(images)).asnumpy()
        relative = np.abs(ours - outputs).max() / np.abs(outputs).max()
        print(f"{model}; parameters {model.cost.num_parameters:,}; difference {relative:.1e}")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](Path(sys.argv[2]))
