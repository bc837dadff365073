"""The report as one page of HTML without scripts that asks nothing of any server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Callable, Iterator, Mapping, Sequence

import numpy as np

from mobilenet.metrics import Predictions
from mobilenet.validation import statistics
from mobilenet.validation.report import charts
from mobilenet.validation.report.document import document
from mobilenet.validation.report.markup import Markup, element
from mobilenet.validation.report.thumbnails import thumbnail_url

_NUM_CLASSES, _NUM_PAIRS, _NUM_MISTAKES, _NUM_EXAMPLES = 20, 12, 12, 3


@dataclass(frozen=True)
class Report:
    """What the page is made from.

    Attributes:
        title: The model.
        facts: How it was validated, by name.
        predictions: The answer to every image.
        class_names: `(classes,)`, in label order.
        image: Gives the encoded image of a prediction by its place, from 0.
        keys: `(N,)`, what each image is called.
        images_per_second: Speed of the validation as a whole.
    """

    title: str
    facts: Mapping[str, str]
    predictions: Predictions
    class_names: Sequence[str]
    image: Callable[[int], bytes | memoryview]
    keys: Sequence[int | str]
    images_per_second: float

    def name(self, place: int) -> str:
        """What the image at a place is called: its file, or the key of its record."""
        key = self.keys[place]
        return key if isinstance(key, str) else f"record {key}"

    @cached_property
    def correct(self) -> statistics.Booleans:
        """`(N,)`: whether the first answer is right."""
        return np.equal(self.predictions.ranks, 0)

    @cached_property
    def confidence(self) -> statistics.Floats:
        """`(N,)`: the probability of the first answer."""
        return self.predictions.probabilities[:, 0]

    @cached_property
    def counts(self) -> statistics.ClassCounts:
        """Images and right answers per class."""
        return statistics.class_counts(self.predictions.labels, self.correct, len(self.class_names))

    @cached_property
    def calibration(self) -> statistics.Calibration:
        """How well the probability of the first answer foretells that it is right."""
        return statistics.calibration(self.confidence, self.correct)

    @cached_property
    def confusions(self) -> list[statistics.Confusion]:
        """Pairs of classes that were confused, most frequent first."""
        return statistics.confusions(self.predictions.labels, self.predictions.classes[:, 0])


def page(report: Report) -> str:
    """The whole document."""
    return document(
        f"Validation of {report.title}",
        element("header", "Validation"),
        element("h1", report.title),
        _facts(report.facts),
        _tiles(report),
        _charts(report),
        _classes(report),
        *_pairs(report),
        *_mistakes(report),
        element("footer", "Every record was counted once. Intervals are Wilson's, of 95 %."),
    )


def _facts(facts: Mapping[str, str]) -> Markup:
    pairs = (
        element("div", element("dt", name), element("dd", value)) for name, value in facts.items()
    )
    return element("dl", *pairs, class_="facts")


def _tiles(report: Report) -> Markup:
    counts = report.predictions.counts()

    def accuracy(name: str, num_right: int) -> Markup:
        low, high = statistics.wilson_interval(num_right, counts.num_images)
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


def _charts(report: Report) -> Markup:
    coverage = statistics.coverage(report.confidence, report.correct)
    return element(
        "section",
        _chart(
            "Calibration",
            "Accuracy per bin of confidence; red is the gap to the ideal. Below, how many images"
            " each bin has (square root).",
            charts.calibration_chart(report.calibration),
        ),
        _chart(
            "Coverage",
            "Accuracy when only the surest part of the images is answered; dashed, all of them.",
            charts.coverage_chart(coverage),
        ),
        _chart(
            "Classes",
            "How many classes have which accuracy.",
            charts.class_chart(report.counts),
        ),
        class_="charts",
        style="margin-top:14px",
    )


def _chart(title: str, caption: str, chart: Markup) -> Markup:
    return element("div", element("h3", title), element("p", caption), chart, class_="card")


def _classes(report: Report) -> Markup:
    num_images, num_correct = report.counts
    present = np.flatnonzero(num_images)
    accuracy = num_correct[present] / num_images[present]
    worst_first = present[np.lexsort((present, -num_images[present], accuracy))].tolist()
    taken: dict[int, statistics.Confusion] = {}
    for confusion in report.confusions:
        taken.setdefault(confusion.label, confusion)
    rows = [_class_row(report, label, taken.get(label)) for label in worst_first]
    parts = [_table(rows[:_NUM_CLASSES])]
    if len(rows) > _NUM_CLASSES:
        parts.append(
            element("details", element("summary", f"All {len(rows)} classes"), _table(rows))
        )
    intro = "Classes with the lowest top-1 accuracy, and what most of their images were taken for."
    return element("section", element("h2", "Worst classes"), element("p", intro), *parts)


def _class_row(report: Report, label: int, confusion: statistics.Confusion | None) -> Markup:
    num_images, num_correct = (int(column[label]) for column in report.counts)
    taken = "" if confusion is None else _times(report, confusion)
    return element(
        "tr",
        element("td", report.class_names[label]),
        element("td", f"{num_correct} of {num_images}", class_="number right"),
        element("td", f"{num_correct / num_images:.0%}", class_="number"),
        element("td", element("meter", value=num_correct, max=num_images), class_="share"),
        element("td", taken),
    )


def _times(report: Report, confusion: statistics.Confusion) -> str:
    return f"{report.class_names[confusion.predicted]} ({confusion.num_images})"


def _table(rows: Sequence[Markup]) -> Markup:
    heads = (
        element("th", "class", scope="col"),
        element("th", "right", scope="col", class_="number right"),
        element("th", "accuracy", scope="col", class_="number"),
        element("th", "", class_="share"),
        element("th", "most often taken for", scope="col"),
    )
    head = element("thead", element("tr", *heads))
    return element("div", element("table", head, element("tbody", *rows)), class_="card table")


def _pairs(report: Report) -> Iterator[Markup]:
    if not report.confusions:
        return
    cards = [_pair(report, confusion) for confusion in report.confusions[:_NUM_PAIRS]]
    yield element("h2", "Most confused pairs")
    yield element("p", "Images of one class that were taken for one other.")
    yield element("section", *cards, class_="pairs")


def _pair(report: Report, confusion: statistics.Confusion) -> Markup:
    label, predicted, num_images = confusion
    answers = report.predictions
    places = np.flatnonzero((answers.labels == label) & (answers.classes[:, 0] == predicted))
    shown = sorted(places.tolist(), key=lambda place: -report.confidence[place])[:_NUM_EXAMPLES]
    text = (
        element("strong", report.class_names[label]),
        " taken for ",
        element("strong", report.class_names[predicted], class_="taken"),
    )
    share = f"{num_images} of {int(report.counts.num_images[label])} images"
    images = element("div", *(_image(report, place) for place in shown), class_="images")
    return element("div", *text, element("div", element("small", share)), images, class_="card")


def _mistakes(report: Report) -> Iterator[Markup]:
    wrong = np.flatnonzero(~report.correct)
    if not len(wrong):
        return
    surest = sorted(wrong.tolist(), key=lambda place: -report.confidence[place])[:_NUM_MISTAKES]
    yield element("h2", "Surest mistakes")
    yield element("p", "Often an image with several objects, or one whose label is in doubt.")
    yield element("section", *(_mistake(report, place) for place in surest), class_="gallery")


def _mistake(report: Report, place: int) -> Markup:
    answers = report.predictions
    label, answer = int(answers.labels[place]), int(answers.classes[place, 0])
    caption = element(
        "figcaption",
        element("span", report.class_names[answer], class_="taken"),
        f" {report.confidence[place]:.1%}, labelled ",
        element("span", report.class_names[label]),
        element("div", element("small", report.name(place))),
    )
    return element("figure", _image(report, place), caption, class_="card")


def _image(report: Report, place: int) -> Markup:
    label = report.class_names[int(report.predictions.labels[place])]
    source = thumbnail_url(report.image(place))
    return element("img", src=source, alt=f"{report.name(place)}, labelled {label}", loading="lazy")
