"""`mobilenet.MobileNetV2`: the network as a Gluon block that loads weights of any kind."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Mapping, Sequence

import mxnet as mx

from mobilenet.errors import WeightsError
from mobilenet.files import open_replaced
from mobilenet.foreign.architecture_detection import detect
from mobilenet.network import architecture, params_file, weights
from mobilenet.network.architecture import DIALECTS, parameter_arrays
from mobilenet.pretrained.published_weights import published_at
from mobilenet.pretrained.store import fetch
from mobilenet.pretrained.weights_of_any_kind import read_weights
from mobilenet.runs.described_weights import parameters_at


class MobileNetV2(architecture.MobileNetV2):
    """MobileNet v2: normalised images `(N, 3, H, W)` to logits `(N, classes)`.

    Args:
        width_multiplier: Factor on the channels of every layer but the classifier; above 0.
        classes: Number of classes.
        depth_multiplier: Factor on the number of blocks of the inner stages, as in timm's 110d and
            120d; above 0.
        dialect: Which published variant: `paper`, `gluoncv` or `origin`.
        activation: `relu6` or `relu`; by default that of the dialect.
        dropout: Probability, 0 to below 1, of dropping a feature before the classifier in training.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(  # noqa: PLR0913 - the section `model` of a configuration
        self,
        width_multiplier: float = 1.0,
        classes: int = 1000,
        *,
        depth_multiplier: float = 1.0,
        dialect: str = "paper",
        activation: str | None = None,
        dropout: float = 0.0,
    ) -> None:
        if dialect not in DIALECTS:
            raise ValueError(f"dialect '{dialect}' is none of {', '.join(DIALECTS)}")
        form = DIALECTS[dialect]
        if activation not in (None, "relu6", "relu"):
            raise ValueError(f"activation '{activation}' is neither relu6 nor relu")
        form = form if activation is None else dataclasses.replace(form, activation=activation)
        super().__init__(
            width_multiplier, classes, form, dropout, depth_multiplier=depth_multiplier
        )

    def load_parameters(
        self,
        filename: str | Path,
        ctx: mx.Context | Sequence[mx.Context] | None = None,
        allow_missing: bool = False,
        ignore_extra: bool = False,
        **options: Any,
    ) -> None:
        """Loads weights of this package, gluoncv, MXNet, torchvision, timm, Keras or slim.

        Args:
            filename: A file (.params, .safetensors, .npz, .onnx), a checkpoint, a run (its best
                checkpoint) or the name of published weights.
            ctx: Devices to initialize the network on, if it is not yet; by default the CPU.
            allow_missing: Keep the values of parameters that are missing in the weights.
            ignore_extra: Ignore arrays for which the network has no parameter.
            **options: Gluon's own, for files that Gluon's `save_parameters` has written.

        Raises:
            WeightsError: The weights cannot be read or do not fit; nothing was changed.
        """
        path = _file_at(filename)
        parameters = self.collect_params()
        if path.suffix == ".params" and _is_structural(path):
            flags = {"allow_missing": allow_missing, "ignore_extra": ignore_extra, **options}
            super().load_parameters(str(path), ctx, **flags)
            return
        if any(parameter._data is None for parameter in parameters.values()):
            self.initialize(ctx=ctx)
        own = parameter_arrays(self)
        arrays = dict(read_weights(path, self))
        if ignore_extra:
            arrays = {name: array for name, array in arrays.items() if name in own}
        if allow_missing:
            arrays = {**own, **arrays}
        try:
            weights.fit(self, arrays, Path(filename))
        except WeightsError as error:
            raise WeightsError(f"{error}; {_right_network(arrays)} would be right") from None

    def save_parameters(self, filename: str | Path, deduplicate: bool = False) -> None:  # noqa: ARG002
        """Writes the parameters atomically, by the package's names, which every command reads."""
        with open_replaced(Path(filename)) as file:
            params_file.write_arrays(file, parameter_arrays(self))


def _file_at(text: str | Path) -> Path:
    published = published_at(text)
    if published is not None:
        return fetch(published)
    if not Path(text).exists():
        raise WeightsError(f"{text}: no such file or folder, and no name of published weights")
    return parameters_at(Path(text))


def _right_network(arrays: Mapping[str, mx.nd.NDArray]) -> str:
    """The call that makes the network of these arrays."""
    found = detect({name: array.shape for name, array in arrays.items()})
    texts = (f"{name}={value!r}" for name, value in found._asdict().items())
    return f"MobileNetV2({', '.join(texts)})"


def _is_structural(path: Path) -> bool:
    """Whether Gluon itself saved the parameters, by their position in the network."""
    names = params_file.read_arrays(path).keys()
    return any(name.startswith("classifier.") for name in names)
