"""MobileNet v2 as a Gluon network: Table 2 of the paper as named rows, for any width multiplier.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, Table 2.
This file alone defines the layers; training and the graph's other forms are defined elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Iterator, NamedTuple, Sequence

import mxnet as mx
from mxnet.gluon import nn

EPSILON = 1e-5
"""What every BatchNorm adds to the variance."""
# Gluon's defaults, with which all published Gluon weights were trained. An update keeps 0.9 of the
# old running statistics.
_NORM = {"momentum": 0.9, "epsilon": EPSILON}


class Stage(NamedTuple):
    """One row of Table 2: `repeats` blocks; the first has `stride`, the others 1."""

    expansion: int
    channels: int
    repeats: int
    stride: int


STEM_CHANNELS = 32
STAGES = (
    Stage(expansion=1, channels=16, repeats=1, stride=1),
    Stage(expansion=6, channels=24, repeats=2, stride=2),
    Stage(expansion=6, channels=32, repeats=3, stride=2),
    Stage(expansion=6, channels=64, repeats=4, stride=2),
    Stage(expansion=6, channels=96, repeats=3, stride=1),
    Stage(expansion=6, channels=160, repeats=3, stride=2),
    Stage(expansion=6, channels=320, repeats=1, stride=1),
)
HEAD_CHANNELS = 1280


@dataclass(frozen=True)
class Dialect:
    """The points in which published MobileNet v2 networks differ."""

    rounds_channels: bool
    """Channels are rounded to a multiple of 8 (the paper's code), not to `int(c * multiplier)`."""
    expands_first_block: bool
    """The first block has an expansion convolution although its expansion factor is 1."""
    classifier_bias: bool
    """The classifier has a bias."""
    activation: str
    """`relu6`, or `relu` as in the ONNX model zoo's mobilenetv2-7.onnx."""


DIALECTS = {
    "paper": Dialect(True, False, True, "relu6"),
    "gluoncv": Dialect(False, False, False, "relu6"),
    "origin": Dialect(False, True, False, "relu"),
}


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, at least `divisor` and at least 90 % of it.

    The rule of the paper's code (tensorflow/models, slim/nets/mobilenet/conv_blocks.py).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


class Convolution(NamedTuple):
    """The shape of a convolution. Its padding keeps the resolution at stride 1."""

    in_channels: int
    channels: int
    kernel_size: int = 1
    stride: int = 1
    groups: int = 1


class ConvNorm(nn.HybridSequential):
    """Convolution without bias, BatchNorm and, unless `activation` is None, an activation."""

    def __init__(self, convolution: Convolution, activation: str | None, **naming: Any) -> None:
        super().__init__(**naming)
        in_channels, channels, kernel_size, stride, groups = convolution
        with self.name_scope():
            self.add(
                nn.Conv2D(
                    channels,
                    kernel_size,
                    strides=stride,
                    padding=kernel_size // 2,
                    groups=groups,
                    use_bias=False,
                    in_channels=in_channels,
                    prefix="conv_",
                ),
                nn.BatchNorm(in_channels=channels, prefix="norm_", **_NORM),
            )
            if activation is not None:
                self.add(Activation(activation, prefix=f"{activation}_"))


class Activation(nn.HybridBlock):
    """ReLU, or ReLU6, which is min(ReLU(x), 6)."""

    def __init__(self, name: str, **naming: Any) -> None:
        super().__init__(**naming)
        self._is_relu6 = name == "relu6"

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return F.clip(x, 0, 6) if self._is_relu6 else F.Activation(x, act_type="relu")


class InvertedResidual(nn.HybridBlock):
    """Pointwise expansion, depthwise 3x3 convolution, linear pointwise projection, shortcut.

    The shortcut adds the input where the block keeps the resolution and the number of channels.
    `channels` are those of the input and of the output; `expanded` is the number of channels
    inside, or None for a block without an expansion.
    """

    def __init__(
        self,
        channels: tuple[int, int],
        expanded: int | None,
        stride: int,
        activation: str,
        **naming: Any,
    ) -> None:
        super().__init__(**naming)
        in_channels, out_channels = channels
        inner = expanded or in_channels
        depthwise = Convolution(inner, inner, kernel_size=3, stride=stride, groups=inner)
        self._has_shortcut = stride == 1 and in_channels == out_channels
        with self.name_scope():
            self.layers = nn.HybridSequential(prefix="")
            if expanded is not None:
                expand = Convolution(in_channels, inner)
                self.layers.add(ConvNorm(expand, activation, prefix="expand_"))
            self.layers.add(
                ConvNorm(depthwise, activation, prefix="depthwise_"),
                ConvNorm(Convolution(inner, out_channels), None, prefix="project_"),
            )

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        y = self.layers(x)
        return F.elemwise_add(y, x, name="add") if self._has_shortcut else y


class MobileNetV2(nn.HybridBlock):
    """MobileNet v2: normalised images `(N, 3, H, W)` to logits `(N, classes)`.

    Parameter names are part of the checkpoint format and do not change. In
    `stage2_block0_expand_conv_weight`, 2 is the row of Table 2, from 1.

    Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
    Table 2.

    Args:
        width_multiplier: Scales the channels of all layers; above 0.
        classes: Number of classes, at least 1.
        dialect: Which published variant: one of `DIALECTS`.
        dropout: Probability of dropping a value before the classifier, from 0 to below 1.
        depth_multiplier: Scales the number of blocks in each stage but the first and the last;
            above 0.

    Raises:
        ValueError: A multiplier or `classes` is not above 0.
    """

    def __init__(
        self,
        width_multiplier: float = 1.0,
        classes: int = 1000,
        dialect: Dialect = DIALECTS["paper"],
        dropout: float = 0.0,
        *,
        depth_multiplier: float = 1.0,
    ) -> None:
        if min(width_multiplier, depth_multiplier, classes) <= 0:
            raise ValueError(
                f"width_multiplier (={width_multiplier}), depth_multiplier (={depth_multiplier})"
                f" and classes (={classes}) must be above 0"
            )
        super().__init__(prefix="")
        stem, *stages, head = scaled_channels(width_multiplier, dialect, depth_multiplier)
        repeats = scaled_repeats(depth_multiplier)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(
                ConvNorm(Convolution(3, stem, 3, stride=2), dialect.activation, prefix="stem_"),
                *_blocks(stem, list(zip(stages, repeats)), dialect),
                ConvNorm(Convolution(stages[-1], head), dialect.activation, prefix="head_"),
                nn.GlobalAvgPool2D(prefix="pool_"),
            )
            self.classifier = _classifier(head, classes, dialect, dropout)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.classifier(self.features(x))


def scaled_channels(
    width_multiplier: float, dialect: Dialect, depth_multiplier: float = 1.0
) -> tuple[int, ...]:
    """Channels of the stem, of each stage, and of the head.

    The head has at least the paper's 1280. With a depth multiplier other than 1 the stem and the
    head keep the paper's channels, as in timm's 110d and 120d (`_gen_mobilenet_v2` with
    `fix_stem_head`).
    """
    stages = tuple(_scale(stage.channels, width_multiplier, dialect) for stage in STAGES)
    if depth_multiplier != 1:
        return (STEM_CHANNELS, *stages, HEAD_CHANNELS)
    head = _scale(HEAD_CHANNELS, max(1.0, width_multiplier), dialect)
    return (_scale(STEM_CHANNELS, width_multiplier, dialect), *stages, head)


def scaled_repeats(depth_multiplier: float) -> tuple[int, ...]:
    """Number of blocks in each stage, rounded up; the first and the last stage always have one.

    timm's rule (`decode_arch_def` with `fix_first_last`).
    """
    first, *inner, last = (stage.repeats for stage in STAGES)
    return (first, *(math.ceil(repeats * depth_multiplier) for repeats in inner), last)


def _scale(channels: int, width_multiplier: float, dialect: Dialect) -> int:
    scaled = channels * width_multiplier
    # At least one channel, however small the multiplier.
    return make_divisible(scaled) if dialect.rounds_channels else max(1, int(scaled))


def _blocks(
    in_channels: int, sizes: Sequence[tuple[int, int]], dialect: Dialect
) -> Iterator[InvertedResidual]:
    """The blocks of all stages; `sizes` are the channels and the number of blocks of each stage."""
    for row, (stage, (out_channels, repeats)) in enumerate(zip(STAGES, sizes), start=1):
        expands = stage.expansion != 1 or dialect.expands_first_block
        for repeat in range(repeats):
            yield InvertedResidual(
                (in_channels, out_channels),
                in_channels * stage.expansion if expands else None,
                stage.stride if repeat == 0 else 1,
                dialect.activation,
                prefix=f"stage{row}_block{repeat}_",
            )
            in_channels = out_channels


def _classifier(
    in_channels: int, classes: int, dialect: Dialect, dropout: float
) -> nn.HybridSequential:
    layers = nn.HybridSequential(prefix="")
    if dropout:
        layers.add(nn.Dropout(dropout, prefix="dropout_"))
    if dialect.classifier_bias:
        layers.add(nn.Dense(classes, in_units=in_channels, prefix="classifier_"))
    else:
        # gluoncv and Gluon's model zoo classify by a pointwise convolution without bias.
        layers.add(
            nn.Conv2D(classes, 1, use_bias=False, in_channels=in_channels, prefix="classifier_")
        )
        layers.add(nn.Flatten(prefix="flatten_"))
    return layers


STATISTICS = ("running_mean", "running_var")
"""How the names of BatchNorm's running statistics end."""


def parameter_arrays(network: nn.HybridBlock) -> dict[str, mx.nd.NDArray]:
    """Every parameter and running statistic of `network` by name, from its first device."""
    return {name: p.list_data()[0] for name, p in network.collect_params().items()}
