"""The settings of distillation: a section of the YAML file."""

from dataclasses import dataclass, fields
from typing import Annotated, Optional

from mobilenet.settings.field_types import Positive, Range, SettingError


@dataclass(frozen=True)
class DistillationConfig:
    """Training on the answers of a teacher, another classifier, besides the labels."""

    teacher: Optional[str] = None
    """The teacher: a published name (`mobilenet weights`), a run (its best checkpoint), a
    checkpoint, a .params file with its YAML file, or any .onnx classifier; none by default."""
    teacher_weight: Optional[Annotated[float, Range(above=0, at_most=1)]] = None
    """Part of the teacher in the loss; the rest is that of the labels. 0.9 by default."""
    temperature: Optional[Annotated[float, Range(above=0, at_most=100)]] = None
    """What the logits of both are divided by before the softmax; 1 by default."""
    teacher_resolution: Optional[Annotated[int, Range(at_least=32, at_most=2048)]] = None
    """Height and width in pixels of the teacher's input; its own by default."""
    teacher_mean: Optional[tuple[float, float, float]] = None
    """Mean of the teacher's input, as data.mean; its own by default."""
    teacher_std: Optional[tuple[Positive, Positive, Positive]] = None
    """Standard deviation of the teacher's input, as data.std; its own by default."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            if self.teacher is None and getattr(self, setting.name) is not None:
                raise SettingError(setting.name, "has no effect without a teacher")
