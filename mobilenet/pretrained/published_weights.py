"""The table of published weights: network, preprocessing, accuracy, source, licence, digest.

Sources of the digests:
* gluoncv and mxnet: the SHA-1 in the installed `gluoncv.model_zoo.model_store` and
  `mxnet.gluon.model_zoo.model_store`; a test compares them.
* onnx: `model_sha` in ONNX_HUB_MANIFEST.json of onnx/models.
* timm: mobilenetv2_100 and _140 as D-Robotics/rdk_model_zoo pins them in checkpoints.json. No
digest
  is published for the others. Their files are compared with the SHA-256 that the Hugging Face hub
  states when it sends them, and have that digest in their names in the store.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Mapping, Optional, Sequence, Union

from mobilenet import settings
from mobilenet.errors import WeightsError
from mobilenet.settings.schema import Config

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)  # one object for each name
class PublishedWeights:
    """A published file of weights."""

    name: str
    """`owner/name`."""
    repository: str
    """The repository: a key of `download.REPOSITORIES`."""
    address: str
    """Path in the repository; if it is an archive, its member with the name `file` is taken."""
    file: str
    """Name of the file in the store, where it is in the folder of its owner."""
    digest: Optional[str]
    """`sha1:` or `sha256:` and hexadecimal digits; None if only the repository states one."""
    settings: Settings
    """The sections of a configuration that describe the network and its validation."""
    top1: float
    """Published top-1 accuracy, a fraction of the 50,000 validation images of ILSVRC2012."""
    top5: float
    """Published top-5 accuracy."""
    source: str
    """Where these accuracies are published."""
    num_bytes: Optional[int] = None
    """Size of the file, if it is published."""
    license: str = "Apache-2.0"
    """SPDX identifier of the licence."""

    @property
    def owner(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    @property
    def short_name(self) -> str:
        """The part of the name after the slash."""
        return self.name.partition("/")[2]

    @property
    def suffix(self) -> str:
        """The suffix of the file, such as `.params`."""
        return PurePosixPath(self.file).suffix


def _gluon(owner: str, width: str, sha1: str, top1: float, top5: float) -> PublishedWeights:
    # Both stores keep a zip, called by the first digits of the digest of the file in it.
    file = f"mobilenetv2_{width}-{sha1[:8]}"
    # MXNet's own is the origin's network, but with ReLU6.
    models = {
        "gluoncv": {"dialect": "gluoncv"},
        "mxnet": {"dialect": "origin", "activation": "relu6"},
    }
    sources = {
        "gluoncv": "dmlc/gluon-cv docs/model_zoo/csv_tables/Classifications/MobileNet.csv",
        # Trained by the authors of gluoncv, who published the accuracies in 2018.
        "mxnet": "dmlc/gluon-cv at commit 9da7b65d",
    }
    return PublishedWeights(
        name=f"{owner}/mobilenetv2_{width}",
        repository="gluon",
        address=f"gluon/models/{file}.zip",
        file=f"{file}.params",
        digest=f"sha1:{sha1}",
        settings={"model": {**models[owner], "width_multiplier": float(width)}},
        top1=top1,
        top5=top5,
        source=sources[owner],
    )


def _timm(
    name: str,
    multipliers: tuple[float, float],
    accuracies: tuple[float, float],
    digest: Optional[str] = None,
    num_bytes: Optional[int] = None,
) -> PublishedWeights:
    width, depth = multipliers
    return PublishedWeights(
        name=f"timm/{name}",
        repository="hub",
        address=f"timm/{name}/resolve/main/model.safetensors",
        file=f"{name}.safetensors",
        digest=digest,
        settings={
            "model": {"dialect": "paper", "width_multiplier": width, "depth_multiplier": depth},
            # timm resizes by PIL's bicubic filter to int(224 / 0.875).
            "validation": {"transform": "center-crop-pil-cubic", "short_side": 256},
        },
        top1=accuracies[0],
        top5=accuracies[1],
        source="huggingface/pytorch-image-models results/results-imagenet.csv",
        num_bytes=num_bytes,
    )


def _zoo(
    version: int, settings: Settings, accuracies: tuple[float, float], sha256: str, num_bytes: int
) -> PublishedWeights:
    name = f"mobilenetv2-{version}"
    return PublishedWeights(
        name=f"onnx/{name}",
        repository="hub",
        address=f"onnxmodelzoo/{name}/resolve/main/{name}.onnx",
        file=f"{name}.onnx",
        digest=f"sha256:{sha256}",
        settings=settings,
        top1=accuracies[0],
        top5=accuracies[1],
        source="onnx/models validated/vision/classification/mobilenet/README.md",
        num_bytes=num_bytes,
    )


# Version 7 is MXNet's; 10 and 12 were exported from PyTorch and have torchvision's network.
_ORIGIN: Settings = {"model": {"dialect": "origin"}, "validation": {"transform": "squash-256"}}
_TORCHVISION: Settings = {
    "model": {"dialect": "paper"},
    "validation": {"transform": "center-crop-pil", "short_side": 256},
}

PUBLISHED_WEIGHTS = (
    _gluon("gluoncv", "1.0", "f9952bcde7a7982947ac5240546e1c1c8f057370", 0.7204, 0.9057),
    _gluon("gluoncv", "0.75", "b56e3d1c33eb52d0b90678db4ce6c5ca6c9a6704", 0.6936, 0.8850),
    _gluon("gluoncv", "0.5", "0803818513599fa1329524ee3607b708b4a4630f", 0.6443, 0.8531),
    _gluon("gluoncv", "0.25", "9b1d2cc38fed4cd171a7f7a0d17fe1a905573887", 0.5176, 0.7489),
    _gluon("mxnet", "1.0", "36da4ff1867abccd32b29592d79fc753bca5a215", 0.7192, 0.9056),
    _gluon("mxnet", "0.75", "e2be7b72a79fe4a750d1dd415afedf01c3ea818d", 0.6961, 0.8895),
    _gluon("mxnet", "0.5", "aabd26cd335379fcb72ae6c8fac45a70eab11785", 0.6449, 0.8547),
    _gluon("mxnet", "0.25", "ae8f9392789b04822cbb1d98c27283fc5f8aa0a7", 0.5074, 0.7456),
    _timm("mobilenetv2_050.lamb_in1k", (0.5, 1.0), (0.65928, 0.86114)),
    _timm(
        "mobilenetv2_100.ra_in1k", (1.0, 1.0), (0.7291, 0.9100),
        "sha256:55ea4fb3a96010b933710ebf44fc965b070d5cd054d3f35e44f2d1320b4a714e", 14_184_144,
    ),
    _timm("mobilenetv2_110d.ra_in1k", (1.1, 1.2), (0.75056, 0.92186)),
    _timm("mobilenetv2_120d.ra_in1k", (1.2, 1.4), (0.7730, 0.93516)),
    _timm(
        "mobilenetv2_140.ra_in1k", (1.4, 1.0), (0.76528, 0.93008),
        "sha256:7cf3adc9931d132b0629481082a7b3fd2092139e355e89718da151ef50857c2f", 24_655_288,
    ),
    _zoo(
        7, _ORIGIN, (0.7094, 0.8999),
        "c1c513582d56afceff8516c73804e484c81c6a830712ab6d682253f4a3cd042f", 14_246_826,
    ),
    _zoo(
        10, _TORCHVISION, (0.7094, 0.8999),
        "0e7c0aa4bc74650386fa1d2c84705753de7c2bdb21909ada5c59154bb429e092", 13_963_115,
    ),
    _zoo(
        12, _TORCHVISION, (0.6948, 0.8926),
        "c0c3f76d93fa3fd6580652a45618618a220fced18babf65774ed169de0432ad5", 13_964_571,
    ),
)  # fmt: skip

_BY_NAME = {weights.name: weights for weights in PUBLISHED_WEIGHTS}
_OWNERS = tuple(dict.fromkeys(weights.owner for weights in PUBLISHED_WEIGHTS))


def find(name: str) -> Optional[PublishedWeights]:
    """The published weights with this name; None if it is not of the form `owner/name`.

    Raises:
        WeightsError: The owner is known, but has no weights of this name.
    """
    owner, slash, rest = name.partition("/")
    if name not in _BY_NAME and slash and owner in _OWNERS and "/" not in rest:
        near = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0)[0]
        raise WeightsError(
            f"{name}: no weights have this name; did you mean '{near}'? `mobilenet weights` lists"
            " all names"
        )
    return _BY_NAME.get(name)


def published_at(path: Union[str, Path]) -> Optional[PublishedWeights]:
    """The published weights with this name; None if it is a file, a folder or no such name.

    Raises:
        WeightsError: As for `find`.
    """
    return None if Path(path).exists() else find(str(path))


def config_of(published: PublishedWeights, overrides: Sequence[str] = ()) -> Config:
    """The configuration of a published network, with the settings in `overrides` replaced."""
    return settings.loads(Config, json.dumps(published.settings), published.name, overrides)
