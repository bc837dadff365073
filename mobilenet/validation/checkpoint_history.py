"""Validates every checkpoint of a run: accuracy by step, as a table and a curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional, Sequence

from mobilenet import files
from mobilenet.errors import WeightsError
from mobilenet.inference.open_model import open_model
from mobilenet.metrics import Counts
from mobilenet.runs.checkpoint import checkpoint_paths
from mobilenet.skipped_items import SKIP_NONE, SkippedItems
from mobilenet.validation.accuracy_statistics import wilson_interval
from mobilenet.validation.labelled_images import ValidationSet
from mobilenet.validation.report.charts import Fraction, curve_chart
from mobilenet.validation.report.html_document import document
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.validate import open_data, validate


class Point(NamedTuple):
    """A checkpoint, by the name of its folder, and its counts."""

    checkpoint: str
    step: int
    counts: Counts


@dataclass(frozen=True)
class History:
    """The counts of every checkpoint of a run over the same images, oldest first."""

    run: Path
    data: Path
    points: tuple[Point, ...]
    """At least one."""

    def summary(self) -> str:
        """A table with a line per checkpoint."""
        lines = [f"{'checkpoint':28}  {'top-1':>7}  {'top-5':>7}  {'loss':>7}"]
        lines += [
            f"{name:28}  {100 * counts.top1:5.2f} %  {100 * counts.top5:5.2f} %  {counts.loss:7.4f}"
            for name, _, counts in self.points
        ]
        return "\n".join([*lines, f"{self.points[0].counts.num_images} images of {self.data}"])

    def as_json(self) -> dict[str, Any]:
        """Everything as plain JSON."""
        points = [
            {"checkpoint": name, "step": step, **counts._asdict()}
            for name, step, counts in self.points
        ]
        return {"run": str(self.run), "data": str(self.data), "checkpoints": points}


def history(
    run: Path,
    data: Path | None = None,
    settings: Sequence[str] = (),
    skipped: SkippedItems = SKIP_NONE,
) -> History:
    """Validates every checkpoint of the run in the folder `run`.

    Args:
        run: The run folder.
        data: As for `validate`; by default the run's own validation records.
        settings: Settings `key.sub=value` that replace the run's own.
        skipped: Collects checkpoints that are damaged or whose output is not finite; by default
            the first one raises.

    Raises:
        WeightsError: There is no checkpoint, or none could be validated.
        DataError: The data are missing, damaged, or have classes that the run does not have.
    """
    paths = checkpoint_paths(run)
    if not paths:
        raise WeightsError(f"{run}: has no checkpoints")
    images: Optional[ValidationSet] = None
    points = []
    for path in paths:
        with skipped.skipping(path):
            model = open_model(path, None, settings)
            images = images or open_data(model, data)
            points.append(_point(path.name, validate(model, images).counts))
    if images is None or not points:
        raise WeightsError(f"{run}: none of its {len(paths)} checkpoints could be validated")
    return History(run, images.path, tuple(points))


def _point(name: str, counts: Counts) -> Point:
    return Point(name, int(name.split("-")[1]), counts)


def write_curve(history: History, path: Path) -> None:
    """Writes a page of HTML with the accuracies against the step, as a chart and as a table."""
    counts = [point.counts for point in history.points]
    accuracies = [
        Fraction(count.top1, wilson_interval(count.num_top1, count.num_images)) for count in counts
    ]
    steps = [point.step for point in history.points]
    chart = curve_chart(steps, accuracies, [count.top5 for count in counts])
    caption = "Line: top-1, in the band of its 95 % interval. Dashed: top-5."
    page = document(
        f"Checkpoints of {history.run}",
        element("header", "Checkpoints"),
        element("h1", str(history.run)),
        element("p", f"{caption} {counts[0].num_images} images of {history.data}."),
        element("div", chart, class_="card", style="max-width:620px"),
        _table(history.points, accuracies),
    )
    files.write_text(path, page)


def _table(points: Sequence[Point], accuracies: Sequence[Fraction]) -> Markup:
    titles = ("step", "top-1", "95 % interval", "top-5", "loss")
    head = element("tr", *(element("th", t, scope="col", class_="number") for t in titles))
    rows = []
    for (_, step, counts), (top1, (low, high)) in zip(points, accuracies):
        cells = (f"{top1:.2%}", f"{low:.2%} to {high:.2%}", f"{counts.top5:.2%}")
        values = [element("td", text, class_="number") for text in (*cells, f"{counts.loss:.4f}")]
        rows.append(
            element("tr", element("th", f"{step:,}", scope="row", class_="number"), *values)
        )
    table = element("table", element("thead", head), element("tbody", *rows))
    return element("div", table, class_="card table", style="max-width:620px;margin-top:14px")
