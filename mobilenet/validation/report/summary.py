"""The head of the report: how the model was validated, and its figures as tiles."""

from __future__ import annotations

from typing import Mapping

from mobilenet.validation.accuracy_statistics import wilson_interval
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.report_data import Report


def facts_list(facts: Mapping[str, str]) -> Markup:
    """How the model was validated: each fact with its name."""
    pairs = (
        element("div", element("dt", name), element("dd", value)) for name, value in facts.items()
    )
    return element("dl", *pairs, class_="facts")


def tiles(report: Report) -> Markup:
    """Accuracies with their intervals, loss, calibration error, images and speed."""
    counts = report.predictions.counts()

    def accuracy(name: str, num_right: int) -> Markup:
        low, high = wilson_interval(num_right, counts.num_images)
        return _tile(
            f"{num_right / counts.num_images:.2%}", name, f"{low:.2%} to {high:.2%}", "card main"
        )

    return element(
        "section",
        accuracy("top-1 accuracy", counts.num_top1),
        accuracy("top-5 accuracy", counts.num_top5),
        _tile(f"{counts.loss:.4f}", "loss", "cross-entropy, nats"),
        _tile(f"{report.calibration.error:.2%}", "calibration error", "expected, 15 bins"),
        _tile(f"{counts.num_images:,}", "images", f"{len(report.class_names):,} classes"),
        _tile(f"{report.images_per_second:,.0f}", "images per second", "from disk to count"),
        class_="tiles",
    )


def _tile(value: str, name: str, note: str, kind: str = "card") -> Markup:
    lines = (element("span", name), element("b", value), element("span", note))
    return element("div", *lines, class_=kind)
