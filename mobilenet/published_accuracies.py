"""Published accuracies of MobileNet v2 on the 50,000 validation images of ILSVRC2012."""

from __future__ import annotations

from typing import NamedTuple

from mobilenet.errors import ConfigError


class Recipe(NamedTuple):
    """How a network was trained, and where its accuracy is published."""

    name: str
    source: str


class Published(NamedTuple):
    """A published accuracy with one centre crop; `top1` and `top5` are fractions.

    `dialect` is a value of the setting `model.dialect`.
    """

    dialect: str
    width_multiplier: float
    resolution: int
    top1: float
    top5: float
    recipe: Recipe
    depth_multiplier: float = 1.0


_TENSORFLOW = Recipe(
    "TensorFlow (the authors')", "tensorflow/models research/slim/nets/mobilenet/README.md"
)
_D_LI14 = Recipe("150 epochs, cosine", "d-li14/mobilenetv2.pytorch README.md")
_D_LI14_LONG = Recipe("250 epochs, cosine, dropout", "d-li14/mobilenetv2.pytorch README.md")
_PADDLE = Recipe("240 epochs, cosine", "PaddlePaddle/PaddleClas docs/en/models/Mobile_en.md")
_PADDLE_DISTILLED = Recipe(
    "distilled (SSLD)", "PaddlePaddle/PaddleClas docs/en/models/Mobile_en.md"
)
_TIMM = Recipe("RandAugment", "huggingface/pytorch-image-models results/results-imagenet.csv")
_TIMM_LAMB = Recipe("LAMB", "huggingface/pytorch-image-models results/results-imagenet.csv")
_TORCHVISION = Recipe("300 epochs, exponential", "torchvision MobileNet_V2_Weights.IMAGENET1K_V1")
_TORCHVISION_2 = Recipe("600 epochs, mixing", "torchvision MobileNet_V2_Weights.IMAGENET1K_V2")
_MMPRETRAIN = Recipe("300 epochs, step", "open-mmlab/mmpretrain configs/mobilenet_v2/metafile.yml")
_SHICAI = Recipe("Caffe", "shicai/MobileNet-Caffe README.md")
_GLUONCV = Recipe(
    "150 epochs, cosine", "dmlc/gluon-cv docs/model_zoo/csv_tables/Classifications/MobileNet.csv"
)
_GLUONCV_2018 = Recipe("480 epochs, exponential, ReLU6", "dmlc/gluon-cv at commit 9da7b65d")
_ZOO = Recipe(
    "mobilenetv2-7.onnx", "onnx/models validated/vision/classification/mobilenet/README.md"
)

# The first row of each dialect and size is the usual target: the authors' own figure where they
# published one, else that of the code base that the dialect is named after.
_PERCENT = (
    ("paper", 1.4, 224, 75.0, 92.5, _TENSORFLOW),
    ("paper", 1.3, 224, 74.4, 92.1, _TENSORFLOW),
    ("paper", 1.0, 224, 71.8, 91.0, _TENSORFLOW),
    ("paper", 1.0, 192, 70.7, 90.1, _TENSORFLOW),
    ("paper", 1.0, 160, 68.8, 89.0, _TENSORFLOW),
    ("paper", 1.0, 128, 65.3, 86.9, _TENSORFLOW),
    ("paper", 1.0, 96, 60.3, 83.2, _TENSORFLOW),
    ("paper", 0.75, 224, 69.8, 89.6, _TENSORFLOW),
    ("paper", 0.75, 192, 68.7, 88.9, _TENSORFLOW),
    ("paper", 0.75, 160, 66.4, 87.3, _TENSORFLOW),
    ("paper", 0.75, 128, 63.2, 85.3, _TENSORFLOW),
    ("paper", 0.75, 96, 58.8, 81.6, _TENSORFLOW),
    ("paper", 0.5, 224, 65.4, 86.4, _TENSORFLOW),
    ("paper", 0.5, 192, 63.9, 85.4, _TENSORFLOW),
    ("paper", 0.5, 160, 61.0, 83.2, _TENSORFLOW),
    ("paper", 0.5, 128, 57.7, 80.8, _TENSORFLOW),
    ("paper", 0.5, 96, 51.2, 75.8, _TENSORFLOW),
    ("paper", 0.35, 224, 60.3, 82.9, _TENSORFLOW),
    ("paper", 0.35, 192, 58.2, 81.2, _TENSORFLOW),
    ("paper", 0.35, 160, 55.7, 79.1, _TENSORFLOW),
    ("paper", 0.35, 128, 50.8, 75.0, _TENSORFLOW),
    ("paper", 0.35, 96, 45.5, 70.4, _TENSORFLOW),
    ("paper", 1.0, 224, 72.192, 90.534, _D_LI14),
    ("paper", 1.0, 192, 71.076, 89.760, _D_LI14),
    ("paper", 1.0, 160, 69.504, 88.848, _D_LI14),
    ("paper", 1.0, 128, 66.740, 86.952, _D_LI14),
    ("paper", 1.0, 96, 62.696, 84.046, _D_LI14),
    ("paper", 0.75, 224, 69.952, 88.986, _D_LI14),
    ("paper", 0.5, 224, 64.592, 85.392, _D_LI14),
    ("paper", 0.35, 224, 60.092, 82.172, _D_LI14),
    ("paper", 0.25, 224, 52.352, 75.932, _D_LI14),
    ("paper", 1.0, 224, 72.834, 91.060, _D_LI14_LONG),
    ("paper", 2.0, 224, 75.2, 92.6, _PADDLE),
    ("paper", 1.5, 224, 74.1, 91.7, _PADDLE),
    ("paper", 1.0, 224, 72.2, 90.7, _PADDLE),
    ("paper", 0.75, 224, 69.8, 89.0, _PADDLE),
    ("paper", 0.5, 224, 65.0, 85.7, _PADDLE),
    ("paper", 0.25, 224, 53.2, 76.5, _PADDLE),
    ("paper", 1.0, 224, 76.74, 93.39, _PADDLE_DISTILLED),
    ("paper", 1.4, 224, 76.528, 93.008, _TIMM),
    ("paper", 1.0, 224, 72.910, 91.000, _TIMM),
    ("paper", 0.5, 224, 65.928, 86.114, _TIMM_LAMB),
    ("paper", 1.0, 224, 71.878, 90.286, _TORCHVISION),
    ("paper", 1.0, 224, 72.154, 90.822, _TORCHVISION_2),
    ("paper", 1.0, 224, 71.86, 90.42, _MMPRETRAIN),
    ("paper", 1.0, 224, 71.90, 90.49, _SHICAI),
    ("gluoncv", 1.0, 224, 72.04, 90.57, _GLUONCV),
    ("gluoncv", 0.75, 224, 69.36, 88.50, _GLUONCV),
    ("gluoncv", 0.5, 224, 64.43, 85.31, _GLUONCV),
    ("gluoncv", 0.25, 224, 51.76, 74.89, _GLUONCV),
    ("origin", 1.0, 224, 70.94, 89.99, _ZOO),
    ("origin", 1.0, 224, 71.92, 90.56, _GLUONCV_2018),
    ("origin", 0.75, 224, 69.61, 88.95, _GLUONCV_2018),
    ("origin", 0.5, 224, 64.49, 85.47, _GLUONCV_2018),
    ("origin", 0.25, 224, 50.74, 74.56, _GLUONCV_2018),
)

# Networks with a depth multiplier, which is the last value.
_PERCENT_OF_DEEP = (
    ("paper", 1.1, 224, 75.056, 92.186, _TIMM, 1.2),
    ("paper", 1.2, 224, 77.300, 93.516, _TIMM, 1.4),
)

PUBLISHED = tuple(
    Published(dialect, width, resolution, round(top1 / 100, 6), round(top5 / 100, 6), *rest)
    for dialect, width, resolution, top1, top5, *rest in (*_PERCENT, *_PERCENT_OF_DEEP)
)


def published(
    dialect: str, width_multiplier: float, resolution: int, depth_multiplier: float = 1.0
) -> tuple[Published, ...]:
    """The accuracies published for a network, the usual target first.

    Accuracies of other dialects are not comparable.
    """
    size = (dialect, width_multiplier, resolution, depth_multiplier)
    return tuple(row for row in PUBLISHED if (*row[:3], row.depth_multiplier) == size)


def target(
    dialect: str, width_multiplier: float, resolution: int, depth_multiplier: float = 1.0
) -> Published:
    """The published accuracy that is the usual target for a network.

    Raises:
        ConfigError: Nothing is published for it.
    """
    rows = published(dialect, width_multiplier, resolution, depth_multiplier)
    if not rows:
        sizes = {row[1:3]: None for row in PUBLISHED if (row[0], row[6]) == (dialect, 1)}
        depth = "" if depth_multiplier == 1 else f" and depth {depth_multiplier:g}"
        known = ", ".join(f"{width:g} at {pixels}" for width, pixels in sizes)
        raise ConfigError(
            f"no accuracy is published for the dialect '{dialect}' of width {width_multiplier:g}"
            f"{depth} at {resolution} px, only for {known} px; give the expected one as top1=..."
        )
    return rows[0]
