"""A schema with every type of field, for the tests of the settings."""

import dataclasses
from typing import Annotated, Literal, Optional

from mobilenet.settings.field_types import Range, SettingError


@dataclasses.dataclass(frozen=True)
class Crop:
    """A section inside a section."""

    area: tuple[Annotated[float, Range(above=0, at_most=1)], float] = (0.08, 1.0)
    """Smallest and largest part of the image."""
    jitter: Optional[Annotated[float, Range(at_least=0, below=1)]] = None
    """Strength of the colour jitter."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A section."""

    classes: Annotated[int, Range(at_least=1)] = 1000
    """Number of classes."""
    dialect: Literal["paper", "origin", "on"] = "paper"
    """Which published form."""
    opset: Literal[7, 9] = 7
    """ONNX opset."""
    bias: bool = True
    note: Optional[str] = None
    """Anything; over
    two lines."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A section with a check across its fields."""

    name: Literal["cosine", "step"] = "cosine"
    """How the rate falls."""
    rate: float = 0.05
    """Learning rate."""
    milestones: tuple[Annotated[int, Range(at_least=1)], ...] = ()
    """Epochs."""

    def __post_init__(self) -> None:
        if self.milestones and self.name != "step":
            raise SettingError("milestones", f"has no effect on the '{self.name}' schedule")
        if self.milestones == (13,):
            raise SettingError("milestones", "two\nlines and " + "long " * 100)


@dataclasses.dataclass(frozen=True)
class Settings:
    """A schema with every type of field."""

    model: Model = dataclasses.field(default_factory=Model)
    """The network."""
    schedule: Schedule = Schedule(rate=0.1)
    """The learning rate."""
    crop: Optional[Crop] = None
    """Random crops."""
    directory: str = "data"
    """Folder."""
    devices: tuple[str, ...] = ("cpu",)
    """Devices."""

    def __post_init__(self) -> None:
        if self.crop and self.model.classes == 7:
            raise SettingError("model.classes", "7 does not go with crops")


@dataclasses.dataclass(frozen=True)
class Required:
    """A schema that has no complete defaults."""

    model: Model
    """A section with defaults, itself without one."""
    name: Annotated[int, Range(above=0, at_most=5)]
    """A setting without default."""
