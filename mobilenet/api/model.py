"""`mobilenet.load`: a model that predicts, validates and exports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterable, Literal, Sequence, Union

import mxnet as mx

from mobilenet.api.accuracy import Accuracy
from mobilenet.api.image_inputs import Image, expanded
from mobilenet.api.predictions import Prediction, Predictions
from mobilenet.api.setting_overrides import overrides_of
from mobilenet.data.synset import names_of_classes, spoken_names
from mobilenet.export.to_onnx import export, options_for
from mobilenet.export.zoo_package import package as pack
from mobilenet.inference.engines import Engine
from mobilenet.inference.loaded_model import LoadedModel
from mobilenet.inference.open_model import open_model
from mobilenet.inference.predict import predict_encoded
from mobilenet.network.complexity import Complexity, complexity
from mobilenet.network.graph_forms import symbol_of
from mobilenet.onnx.exporter import ExportResult
from mobilenet.settings.schema import Config
from mobilenet.validation.model_comparison import Comparison, compare
from mobilenet.validation.preprocessing_audit import Audit, audit
from mobilenet.validation.validate import Options, validate

AnyPath = Union[str, "os.PathLike[str]"]


class Model:
    """A model with the preprocessing that it expects; `mobilenet.load` opens one."""

    def __init__(self, opened: LoadedModel) -> None:
        self._opened = opened

    @property
    def name(self) -> str:
        """The name, run or file that it was opened from."""
        return self._opened.title

    @property
    def config(self) -> Config:
        """Its configuration: network, input, preprocessing, training."""
        return self._opened.config

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of its classes, in label order."""
        model = self._opened
        return spoken_names(names_of_classes(model.class_names, model.config.model.classes))

    @property
    def network(self) -> mx.gluon.HybridBlock | None:
        """The Gluon block; None for an ONNX file, which another engine runs."""
        return self._opened.network

    @property
    def cost(self) -> Complexity | None:
        """Parameters, multiply-adds and activations for one image; None for an ONNX file."""
        if self.network is None:
            return None
        return complexity(symbol_of(self.network), self.config.data.resolution)

    def predict(self, images: Image | Iterable[Image]) -> Prediction | Predictions:
        """The five most probable classes of each image.

        Args:
            images: A path, a PIL image, or an array `(H, W, 3)` of uint8, red, green, blue; or
                several in a list, a folder, a pattern such as `photos/*.jpg`, or an array
                `(N, H, W, 3)`.

        Returns:
            A Prediction for one image, Predictions for several.

        Raises:
            DataError: A file cannot be read or is no image, or an array has another form.
        """
        is_one, encoded = expanded(images)
        found = [
            Prediction(name, answer.guesses, content)
            for (name, content), answer in zip(encoded, predict_encoded(self._opened, encoded))
        ]
        return found[0] if is_one else Predictions(found)

    def validate(
        self,
        data: AnyPath | None = None,
        views: Literal["one", "flip", "ten-crop"] = "one",
    ) -> Accuracy:
        """Measures the accuracy over all images, each once.

        Args:
            data: A record file, a folder of them, or a folder with a folder of images per class; by
                default the validation records that the model was trained with.
            views: Average probabilities over views: only the image, the image and its mirror
                image, or ten crops.

        Raises:
            DataError: The data are missing or damaged, or have classes that the model does not
                have.
        """
        return Accuracy(validate(self._opened, _path(data), Options(views)))

    def audit(self, data: AnyPath | None = None, resolutions: Sequence[int] = ()) -> Audit:
        """Validates the model with every preprocessing, or at other resolutions in pixels."""
        return audit(self._opened, _path(data), resolutions)

    def compare(self, other: Model, data: AnyPath | None = None) -> Comparison:
        """Validates two models on the same images, and tests whether one is better."""
        return compare(self._opened, other._opened, _path(data))

    def export(
        self,
        output: AnyPath | None = None,
        *,
        images: AnyPath | None = None,
        package: AnyPath | None = None,
        **options: Any,
    ) -> ExportResult:
        """Writes an ONNX file of opset 7, after comparing its outputs with those of MXNet.

        Args:
            output: By default the model's name with .onnx.
            images: Record file or folder; its images are compared in addition to random ones.
            package: Folder for a package as in the ONNX model zoo: an archive with example inputs
                and outputs, a manifest entry, and a model card.
            **options: As for `mobilenet export`: `pixels="uint8"`, `softmax=True`,
                `half_weights=True`, `form="zoo"`, `batch`, `resolution`, `opset`.

        Raises:
            UserError: The model cannot be written with these options.
            VerificationError: The file computes something else than MXNet; it is not kept.
        """
        model = self._opened
        if model.network is None:
            model = open_model(model.path, as_network=True)
        chosen = options_for(model.config, **options)
        result = export(model, _path(output), chosen, _path(images))
        if package is not None:
            pack(result.path, Path(package), result.images)
        return result

    def __repr__(self) -> str:
        model = self.config.model
        depth = "" if model.depth_multiplier == 1 else f", depth {model.depth_multiplier:g}"
        pixels = self.config.data.resolution
        return (
            f"{self.name}: MobileNet v2 of width {model.width_multiplier:g}{depth},"
            f" {model.classes} classes, {pixels} px"
        )


def load(
    source: AnyPath, config: AnyPath | None = None, engine: Engine | None = None, **changes: Any
) -> Model:
    """Opens a model.

    Args:
        source: The name of published weights (`mobilenet.weights()`), a run folder, a checkpoint,
            or a file: .params, .onnx, .safetensors, .npz.
        config: YAML file for a file without a configuration of its own.
        engine: What runs it: `onnxruntime`, `mxnet`, `openvino` or `openvino-bfloat16`; by default
            ONNX Runtime for an ONNX file, and for others MXNet, which trained them.
        **changes: Settings by their names or sections, as of `train`: `data={"resolution": 192}`.

    Raises:
        WeightsError: There is no such model, or it is damaged or cannot be downloaded.
        ConfigError: A setting is wrong.
        UserError: The engine is not installed, or cannot be used here.
    """
    overrides = list(overrides_of(changes))
    return Model(open_model(os.fspath(source), _path(config), overrides, engine))


def _path(path: AnyPath | None) -> Path | None:
    return None if path is None else Path(path)
