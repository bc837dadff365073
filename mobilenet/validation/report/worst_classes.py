"""The report's table of classes, those with the lowest accuracy first."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from mobilenet.validation.accuracy_statistics import Confusion
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.report_data import Report

_NUM_SHOWN = 20


def worst_classes(report: Report) -> Markup:
    """The 20 worst classes, all of them folded below, and what each was most often predicted as."""
    num_images, num_correct = report.counts
    present = np.flatnonzero(num_images)
    accuracy = num_correct[present] / num_images[present]
    worst_first = present[np.lexsort((present, -num_images[present], accuracy))].tolist()
    taken: dict[int, Confusion] = {}
    for confusion in report.confusions:
        taken.setdefault(confusion.label, confusion)
    rows = [_class_row(report, label, taken.get(label)) for label in worst_first]
    parts = [_table(rows[:_NUM_SHOWN])]
    if len(rows) > _NUM_SHOWN:
        parts.append(
            element("details", element("summary", f"All {len(rows)} classes"), _table(rows))
        )
    intro = "Classes with the lowest top-1 accuracy, and what most of their images were taken for."
    return element("section", element("h2", "Worst classes"), element("p", intro), *parts)


def _class_row(report: Report, label: int, confusion: Confusion | None) -> Markup:
    num_images, num_correct = (int(column[label]) for column in report.counts)
    taken = "" if confusion is None else _taken_for(report, confusion)
    return element(
        "tr",
        element("td", report.class_names[label]),
        element("td", f"{num_correct} of {num_images}", class_="number right"),
        element("td", f"{num_correct / num_images:.0%}", class_="number"),
        element("td", element("meter", value=num_correct, max=num_images), class_="share"),
        element("td", taken),
    )


def _taken_for(report: Report, confusion: Confusion) -> str:
    return f"{report.class_names[confusion.predicted]} ({confusion.num_images})"


def _table(rows: Sequence[Markup]) -> Markup:
    heads = (
        element("th", "class", scope="col"),
        element("th", "right", scope="col", class_="number right"),
        element("th", "accuracy", scope="col", class_="number"),
        element("th", "", class_="share"),
        element("th", "most often predicted as", scope="col"),
    )
    head = element("thead", element("tr", *heads))
    return element("div", element("table", head, element("tbody", *rows)), class_="card table")
