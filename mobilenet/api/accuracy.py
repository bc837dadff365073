"""The accuracy of a model on a set of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mobilenet.notebook_figures import draw_mistakes, png
from mobilenet.validation.report.report_files import write_report
from mobilenet.validation.validate import Validation


class Accuracy:
    """The result of a validation: counts over all images.

    Attributes:
        top1: Top-1 accuracy as a fraction.
        top5: Top-5 accuracy as a fraction.
        num_images: Number of images.
    """

    def __init__(self, validation: Validation) -> None:
        self._validation = validation
        counts = validation.counts
        self.top1, self.top5 = counts.top1, counts.top5
        self.num_images = counts.num_images

    def as_json(self) -> dict[str, Any]:
        """Accuracies, their intervals, and everything that they depend on, as plain JSON."""
        return self._validation.as_json()

    def write_report(self, folder: str | Path) -> Path:
        """Writes report.html, predictions.csv and metrics.json into `folder`; returns the page."""
        write_report(self._validation, Path(folder))
        return Path(folder) / "report.html"

    def __repr__(self) -> str:
        return self._validation.summary()

    def _repr_png_(self) -> bytes | None:
        """The wrong predictions of highest confidence; None if all are right."""
        if self.top1 == 1:
            return None
        return png(lambda path: draw_mistakes(self._validation, path))
