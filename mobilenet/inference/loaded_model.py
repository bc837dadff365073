"""A model that was opened, whatever it was opened from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from mobilenet import build
from mobilenet.data.eval_transforms import EvalTransform
from mobilenet.inference.engines import NAMES, Engine
from mobilenet.metrics import Predict
from mobilenet.network.architecture import MobileNetV2
from mobilenet.pretrained.published_weights import PublishedWeights, config_of
from mobilenet.pretrained.store import stored
from mobilenet.settings.schema import Config


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to predict, with its preprocessing and class names."""

    path: Path
    config: Config
    """Of an ONNX file: what its metadata say, and defaults for the rest."""
    class_names: tuple[str, ...]
    """The lines of synset.txt, one per class in label order; empty if unknown."""
    predict: Predict
    """From normalised images `(N, 3, H, W)` to logits `(N, classes)`."""
    network: MobileNetV2 | None
    """The Gluon network; None for an ONNX file, unless it was opened `as_network`."""
    calibrated_on: str | None = None
    """The images that an int8 model was calibrated on; None in floating point."""
    is_described: bool = True
    """Whether dialect and width are known; if not, `config` has defaults for them."""
    engine: Engine | None = None
    """What runs an ONNX file, or a network that does not run in MXNet; None for other models."""
    crop: tuple[int, int] | None = None
    """Height and width of the input in pixels, if they are fixed and not equal."""
    published: PublishedWeights | None = None
    """The entry of published weights; `path` is then their name."""

    @property
    def file(self) -> Path:
        """The run, checkpoint or file on the disk."""
        return (self.published and stored(self.published)) or self.path

    @property
    def is_as_published(self) -> bool:
        """Whether no setting differs from those of the published weights."""
        return self.published is not None and self.config == config_of(self.published)

    @property
    def title(self) -> str:
        """The name of the model in summaries and reports."""
        int8 = "" if self.calibrated_on is None else " (int8)"
        by = f" (by {self.unusual_engine})" if self.unusual_engine else ""
        return f"{self.path}{int8}{by}"

    @property
    def unusual_engine(self) -> str:
        """The name of what runs the model, if others of its kind are usually run by another one."""
        is_usual = self.engine is None or (self.engine == "onnxruntime" and self.network is None)
        return "" if is_usual or self.engine is None else NAMES[self.engine]

    @property
    def transform(self) -> EvalTransform:
        """The validation preprocessing."""
        return dataclasses.replace(build.eval_transform(self.config), crop=self.crop)
