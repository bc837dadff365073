"""Validates a model: every record once, in counts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mobilenet import build
from mobilenet.data.reader import EvalReader
from mobilenet.data.transforms import EvalTransform
from mobilenet.evaluation import evaluate
from mobilenet.loading import LoadedModel
from mobilenet.metrics import Counts


@dataclass(frozen=True)
class Validation:
    """The counts of a model over a record file, and how they came about."""

    model: Path
    data: Path
    transform: EvalTransform
    counts: Counts

    def summary(self) -> str:
        """Top-1 and top-5 in percent with the number of images, in two lines."""
        counts = self.counts
        return (
            f"top-1 {100 * counts.top1:.2f} %  ({counts.num_top1} of {counts.num_images})\n"
            f"top-5 {100 * counts.top5:.2f} %  ({counts.num_top5} of {counts.num_images})"
        )

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON; accuracies are fractions."""
        transform, counts = self.transform, self.counts
        return {
            "num_images": counts.num_images,
            "top1": counts.top1,
            "top5": counts.top5,
            "num_top1": counts.num_top1,
            "num_top5": counts.num_top5,
            "loss": counts.loss,
            "model": str(self.model),
            "data": str(self.data),
            "transform": {
                "name": transform.name,
                "resolution": transform.resolution,
                "short_side": transform.short_side,
                "mean": list(transform.normalization.mean),
                "std": list(transform.normalization.std),
            },
        }


def validate(model: LoadedModel, data: Path | None = None) -> Validation:
    """Counts the hits of `model` over a record file, by default its own validation records.

    `data` is a record file, or a folder with val.rec.

    Raises:
        DataError: The records are missing, damaged, or have labels that the model has not.
    """
    path = data or Path(model.config.data.directory)
    if path.suffix != ".rec":
        path = path / "val.rec"
    records = build.checked_records(path, model.config.model.classes)
    config = model.config
    reader = EvalReader(
        records, model.transform, config.validation.batch_size, config.data.num_workers
    )
    return Validation(model.path, path, model.transform, evaluate(model.predict, reader.batches()))
