"""The report's confusion matrix, and precision, recall and F1 of each class, for few classes."""

from __future__ import annotations

from typing import Iterator, Sequence

import numpy as np

from mobilenet.validation.accuracy_statistics import Integers, class_scores, confusion_matrix
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.report_data import Report

MAX_CLASSES = 50
"""A larger matrix is hard to read; the most confused pairs show what is in it."""


def confusion_sections(report: Report) -> Iterator[Markup]:
    """Both tables, of the classes that have images or were predicted; nothing for too many."""
    labels, predicted = report.predictions.labels, report.predictions.classes[:, 0]
    shown = np.union1d(labels, predicted)
    if len(shown) > MAX_CLASSES:
        return
    names = [report.class_names[label] for label in shown.tolist()]
    rows, columns = (np.searchsorted(shown, classes) for classes in (labels, predicted))
    matrix = confusion_matrix(rows, columns, len(shown))
    yield element("h2", "Precision and recall")
    yield element(
        "p",
        "Precision: the part of the images predicted as this class that belong to it. Recall: the"
        " part of the images of this class that were predicted as it. F1: their harmonic mean.",
    )
    yield _scores_table(matrix, names)
    yield element("h2", "Confusion matrix")
    yield element("p", "Rows: the label. Columns: the answer. Bold: right.")
    yield _matrix_table(matrix, names)


def _scores_table(matrix: Integers, names: Sequence[str]) -> Markup:
    scores = class_scores(matrix)
    images = matrix.sum(axis=1)
    titles = ("images", "precision", "recall", "F1")
    heads = (element("th", title, scope="col", class_="number") for title in titles)
    head = element("thead", element("tr", element("th", "class", scope="col"), *heads))
    rows = [
        _scores_row(name, [f"{number:,}", *map(_percent, values)])
        for name, number, *values in zip(names, images.tolist(), *(s.tolist() for s in scores))
    ]
    # A class without images has no recall; one that was never the answer is right in none.
    means = [float(np.nan_to_num(column)[images > 0].mean()) for column in scores]
    mean = _scores_row("mean of the classes", [f"{images.sum():,}", *map(_percent, means)])
    table = element("table", head, element("tbody", *rows), element("tfoot", mean))
    return element("div", table, class_="card table scores")


def _scores_row(name: str, texts: Sequence[str]) -> Markup:
    cells = (element("td", text, class_="number") for text in texts)
    return element("tr", element("th", name, scope="row"), *cells)


def _percent(fraction: float) -> str:
    return "none" if np.isnan(fraction) else f"{fraction:.1%}"


def _matrix_table(matrix: Integers, names: Sequence[str]) -> Markup:
    corner = element("th", "label, answer", scope="col")
    heads = (
        element("th", element("span", name), scope="col", title=name, class_="upright")
        for name in names
    )
    rows = [_matrix_row(place, name, matrix[place]) for place, name in enumerate(names)]
    head = element("thead", element("tr", corner, *heads))
    # Keyboards scroll what has the focus.
    return element(
        "div",
        element("table", head, element("tbody", *rows)),
        class_="card matrix",
        tabindex=0,
        role="region",
        aria_label="Confusion matrix",
    )


def _matrix_row(place: int, name: str, counts: Integers) -> Markup:
    total = max(1, int(counts.sum()))
    cells = [
        element(
            "td",
            f"{number:,}",
            class_="right-answer" if column == place else "other" if number else "none",
            style=f"--share:{number / total:.2f}",
        )
        for column, number in enumerate(counts.tolist())
    ]
    return element("tr", element("th", name, scope="row"), *cells)
