"""Names and layouts of MobileNet v2's arrays in torchvision, timm, Keras and TensorFlow's slim.

Sources: torchvision/models/mobilenetv2.py; timm/models/efficientnet.py and _efficientnet_blocks.py;
keras/src/applications/mobilenet_v2.py; tensorflow/models research/slim/nets/mobilenet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, Sequence

from mobilenet.data.eval_transforms import IMAGENET, TENSORFLOW
from mobilenet.network.architecture import EPSILON
from mobilenet.network.weights import NORM, Block, blocks, layer_names
from mobilenet.onnx.metadata import Metadata

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Layout:
    """The names of one family of files.

    A layer is a pair: the name of its kernel, and the prefix of the names of its BatchNorm.
    """

    family: str
    """The program that writes these files."""
    facts: Metadata
    """The input of its networks."""
    stem: tuple[str, str]
    block: Callable[[Block], Pairs]
    head: tuple[str, str]
    """`{last}` stands for the number of the last part, if parts are numbered."""
    classifier: tuple[str, str]
    """Names of the weight and the bias."""
    norm: tuple[str, str, str, str]
    """How the names of gamma, beta, mean and variance end."""
    is_channels_last: bool = False
    """Kernels are (H, W, in, out), depthwise ones (H, W, channels, 1), as in TensorFlow."""
    epsilon: float = EPSILON
    """What BatchNorm adds to the variance."""

    def names(self, repeats: Sequence[int]) -> Iterator[tuple[str, str]]:
        """Pairs of a name in the family and the package's name, for `repeats` blocks per stage."""
        inner = [pair for block in blocks(False, repeats) for pair in self.block(block)]
        head = tuple(name.format(last=sum(repeats) + 1) for name in self.head)
        pairs = [self.stem, *inner, head]
        for (kernel, norm), ours in zip(pairs, layer_names(False, repeats)):
            yield kernel, f"{ours}_conv_weight"
            yield from ((f"{norm}{a}", f"{ours}_norm_{b}") for a, b in zip(self.norm, NORM))
        yield from zip(self.classifier, ("classifier_weight", "classifier_bias"))


def _torchvision(block: Block) -> Pairs:
    parent, last = f"features.{block.number + 1}.conv", len(block.parts) - 1
    pairs = [(f"{parent}.{i}.0.weight", f"{parent}.{i}.1") for i in range(last)]
    return [*pairs, (f"{parent}.{last}.weight", f"{parent}.{last + 1}")]


def _timm(block: Block) -> Pairs:
    # `conv_pw` is the expansion if there is one, otherwise the projection.
    kernels = ("conv_pw", "conv_dw", "conv_pwl") if block.number else ("conv_dw", "conv_pw")
    parent = f"blocks.{block.stage - 1}.{block.repeat}"
    return [(f"{parent}.{name}.weight", f"{parent}.bn{i}") for i, name in enumerate(kernels, 1)]


def _keras(block: Block) -> Pairs:
    parent = f"block_{block.number}" if block.number else "expanded_conv"
    return [(f"{parent}_{part}/kernel", f"{parent}_{part}_BN") for part in block.parts]


def _slim(block: Block) -> Pairs:
    parent = "MobilenetV2/expanded_conv" + (f"_{block.number}" if block.number else "")
    return [(f"{parent}/{part}/weights", f"{parent}/{part}/BatchNorm") for part in block.parts]


_TORCH_NORM = (".weight", ".bias", ".running_mean", ".running_var")
_TENSORFLOW_NORM = ("/gamma", "/beta", "/moving_mean", "/moving_variance")
_TENSORFLOW_EPSILON = 1e-3
IMAGENET_INPUT = Metadata(mean=IMAGENET.mean, std=IMAGENET.std, resolution=224)
"""The input that is assumed if a file does not say more."""
# TensorFlow pads even sizes more on one side than on the other; 225 px and its halves are odd.
_TENSORFLOW_INPUT = Metadata(
    mean=TENSORFLOW.mean, std=TENSORFLOW.std, resolution=225, short_side=257
)

LAYOUTS = (
    Layout(
        "torchvision",
        IMAGENET_INPUT,
        stem=("features.0.0.weight", "features.0.1"),
        block=_torchvision,
        head=("features.{last}.0.weight", "features.{last}.1"),
        classifier=("classifier.1.weight", "classifier.1.bias"),
        norm=_TORCH_NORM,
    ),
    Layout(
        "timm",
        IMAGENET_INPUT,
        stem=("conv_stem.weight", "bn1"),
        block=_timm,
        head=("conv_head.weight", "bn2"),
        classifier=("classifier.weight", "classifier.bias"),
        norm=_TORCH_NORM,
    ),
    Layout(
        "Keras",
        _TENSORFLOW_INPUT,
        stem=("Conv1/kernel", "bn_Conv1"),
        block=_keras,
        head=("Conv_1/kernel", "Conv_1_bn"),
        classifier=("predictions/kernel", "predictions/bias"),
        norm=_TENSORFLOW_NORM,
        is_channels_last=True,
        epsilon=_TENSORFLOW_EPSILON,
    ),
    Layout(
        "slim",
        _TENSORFLOW_INPUT,
        stem=("MobilenetV2/Conv/weights", "MobilenetV2/Conv/BatchNorm"),
        block=_slim,
        head=("MobilenetV2/Conv_1/weights", "MobilenetV2/Conv_1/BatchNorm"),
        classifier=(
            "MobilenetV2/Logits/Conv2d_1c_1x1/weights",
            "MobilenetV2/Logits/Conv2d_1c_1x1/biases",
        ),
        norm=_TENSORFLOW_NORM,
        is_channels_last=True,
        epsilon=_TENSORFLOW_EPSILON,
    ),
)
