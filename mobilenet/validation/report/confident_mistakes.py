"""The report's most confident wrong predictions, with their images."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.report_data import Report
from mobilenet.validation.report.thumbnails import labelled_thumbnail

_NUM_SHOWN = 12


def confident_mistakes(report: Report) -> Iterator[Markup]:
    """The 12 wrong predictions of highest confidence; nothing if none is wrong."""
    wrong = np.flatnonzero(~report.correct)
    if not len(wrong):
        return
    chosen = sorted(wrong.tolist(), key=lambda place: -report.confidence[place])[:_NUM_SHOWN]
    yield element("h2", "Most confident mistakes")
    yield element("p", "Often an image with several objects, or one whose label is in doubt.")
    yield element("section", *(_mistake(report, place) for place in chosen), class_="gallery")


def _mistake(report: Report, place: int) -> Markup:
    predictions = report.predictions
    label, predicted = int(predictions.labels[place]), int(predictions.classes[place, 0])
    caption = element(
        "figcaption",
        element("span", report.class_names[predicted], class_="taken"),
        f" {report.confidence[place]:.1%}, labelled ",
        element("span", report.class_names[label]),
        element("div", element("small", report.name(place))),
    )
    return element("figure", labelled_thumbnail(report, place), caption, class_="card")
