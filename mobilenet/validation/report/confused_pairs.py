"""The report's most confused pairs of classes, with example images."""

from __future__ import annotations

from typing import Iterator

import numpy as np

from mobilenet.validation.accuracy_statistics import Confusion
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.report_data import Report
from mobilenet.validation.report.thumbnails import labelled_thumbnail

_NUM_SHOWN, _NUM_EXAMPLES = 12, 3


def confused_pairs(report: Report) -> Iterator[Markup]:
    """The 12 most frequent confusions, three images each; nothing if no prediction is wrong."""
    if not report.confusions:
        return
    cards = [_pair(report, confusion) for confusion in report.confusions[:_NUM_SHOWN]]
    yield element("h2", "Most confused pairs")
    yield element("p", "Images of one class that were predicted as another one.")
    yield element("section", *cards, class_="pairs")


def _pair(report: Report, confusion: Confusion) -> Markup:
    label, predicted, num_images = confusion
    labels, classes = report.predictions.labels, report.predictions.classes
    places = np.flatnonzero((labels == label) & (classes[:, 0] == predicted))
    shown = sorted(places.tolist(), key=lambda place: -report.confidence[place])[:_NUM_EXAMPLES]
    text = (
        element("strong", report.class_names[label]),
        " taken for ",
        element("strong", report.class_names[predicted], class_="taken"),
    )
    share = f"{num_images} of {int(report.counts.num_images[label])} images"
    images = [labelled_thumbnail(report, place) for place in shown]
    examples = element("div", *images, class_="images")
    return element("div", *text, element("div", element("small", share)), examples, class_="card")
