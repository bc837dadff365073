"""The report: escaping, what it says, and what it never asks for."""

import base64
import csv
import dataclasses
import html
import html.parser
import io
import re

import cv2
import numpy as np
import pytest
from reports import EVIL, NAMES, answers, report

from mobilenet.metrics import score
from mobilenet.validation import accuracy_statistics
from mobilenet.validation.accuracy_statistics import Interval
from mobilenet.validation.report.charts import (
    Fraction,
    calibration_chart,
    class_chart,
    coverage_chart,
    curve_chart,
)
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.page import page
from mobilenet.validation.report.predictions_csv import predictions_csv
from mobilenet.validation.report.thumbnails import thumbnail_url


class Checker(html.parser.HTMLParser):
    """Collects text, attributes and unclosed or wrongly closed elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def document() -> str:
    return page(report(answers()))


@pytest.fixture(scope="module")
def checked(document: str) -> Checker:
    checker = Checker()
    checker.feed(document)
    checker.close()
    return checker


def test_text_is_escaped_and_markup_is_not() -> None:
    inner = element("b", "1 < 2 & 3")
    assert inner == "<b>1 &lt; 2 &amp; 3</b>"
    assert element("p", inner, "<") == f"<p>{inner}&lt;</p>"
    assert element("p", Markup("<i>")) == "<p><i></p>"
    assert element("td", class_='"x', aria_label="é") == '<td class="&quot;x" aria-label="é"></td>'
    assert element("img", src="a&b") == '<img src="a&amp;b">'


def test_page_is_well_formed_and_has_no_script(checked: Checker) -> None:
    assert checked.open == []
    assert "script" not in checked.tags
    assert not any(name.startswith("on") for name, _ in checked.attributes)
    assert EVIL in checked.text


def test_page_asks_for_nothing(document: str, checked: Checker) -> None:
    addresses = [
        value for name, value in checked.attributes if name in ("src", "href", "xlink:href")
    ]
    assert addresses and all(value.startswith("data:image/jpeg;base64,") for value in addresses)
    assert not re.search(r"url\(|@import|https?://", document)
    assert ("http-equiv", "Content-Security-Policy") in checked.attributes
    assert any(name == "content" and "default-src 'none';" in v for name, v in checked.attributes)


def test_page_says_what_was_counted(checked: Checker) -> None:
    predictions = answers()
    counts = predictions.counts()
    text = " ".join(checked.text)
    for right in (counts.num_top1, counts.num_top5):
        low, high = accuracy_statistics.wilson_interval(right, 60)
        assert f"{right / 60:.2%}" in text
        assert f"{low:.2%} to {high:.2%}" in text
    assert f"{counts.loss:.4f}" in text
    first = accuracy_statistics.confusions(predictions.labels, predictions.classes[:, 0])[0]
    assert f"{first.num_images} of {np.sum(predictions.labels == first.label)} images" in text


def test_worst_classes_come_first(document: str) -> None:
    predictions = answers()
    right = predictions.ranks == 0
    accuracy = [right[predictions.labels == label].mean() for label in range(8)]
    table = document[document.index("<tbody>") : document.index("</tbody>")]
    shown = [html.unescape(name) for name in re.findall(r"<tr><td>(.*?)</td>", table)]
    listed = [accuracy[NAMES.index(name)] for name in shown]
    assert sorted(shown) == sorted(NAMES)
    assert listed == sorted(listed)
    assert listed[0] < listed[-1]


def test_a_faultless_model_has_no_mistakes_to_show() -> None:
    labels = np.arange(8, dtype=np.int32)
    document = page(report(score(9 * np.eye(8, dtype=np.float32), labels)))
    assert "Most confident mistakes" not in document
    assert "Most confused pairs" not in document
    assert "100.00%" in document


def test_one_wrong_image_is_enough_for_a_page() -> None:
    document = page(report(score(np.eye(8, dtype=np.float32)[:1], np.array([3], np.int32))))
    assert "1 of 1 images" in document
    assert "nan" not in document.lower().replace("nano", "")


def heights(chart: str, kind: str) -> list[float]:
    bars = re.findall(rf'<rect [^>]*height="([\d.]+)" class="{kind}"', chart)
    return [float(height) for height in bars]


def test_calibration_chart_draws_accuracy_and_gap_to_scale() -> None:
    confidence = np.array([0.1, 0.1, 0.9, 0.9, 0.9, 0.9])
    correct = np.array([True, False, True, True, True, False])
    chart = calibration_chart(accuracy_statistics.calibration(confidence, correct, 2))
    whole = 216  # SVG units from 0 to 100 %
    assert heights(chart, "bar") == pytest.approx([0.5 * whole, 0.75 * whole], abs=0.02)
    assert heights(chart, "gap") == pytest.approx([0.4 * whole, 0.15 * whole], abs=0.02)
    low, high = heights(chart, "count")
    assert low / high == pytest.approx(0.5**0.5, abs=0.01)
    # Two bins side by side from 0 to 1; below them, on the lower edge, the numbers of images.
    assert 'viewBox="0 0 360 284"' in chart
    counts = re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" [^>]*"count"', chart)
    sides = [(float(x), float(width)) for x, _, width in counts]
    assert sides == [(44.75, 148.5), (194.75, 148.5)]
    assert [float(y) for _, y, _ in counts] == pytest.approx([284 - low, 284 - high], abs=0.02)
    assert high == 20


def test_the_labels_of_an_axis_stand_at_their_values() -> None:
    chart = calibration_chart(accuracy_statistics.calibration(np.full(2, 0.7), np.ones(2, bool), 2))
    labels = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)"[^>]*>([^<]+)', chart)
    fifths = [n / 5 for n in range(6)]
    anchors = ["start", *["middle"] * 5]
    assert [(float(x), float(y), anchor, text) for x, y, anchor, text in labels] == [
        *((38, pytest.approx(230 - 216 * v), "end", f"{v:.0%}") for v in reversed(fifths)),
        *((44 + 300 * v, 240, anchor, f"{v:.0%}") for v, anchor in zip(fifths, anchors)),
        (194, 254, "middle", "confidence"),
    ]
    grid = re.findall(r'<line x1="44" y1="([\d.]+)" x2="344" y2="([\d.]+)" class="grid"', chart)
    assert [float(y) for y, _ in grid] == pytest.approx([226 - 216 * v for v in reversed(fifths)])
    assert all(one == two for one, two in grid)


def test_class_chart_counts_classes_that_have_images() -> None:
    counts = accuracy_statistics.ClassCounts(np.array([4, 0, 2, 2, 10]), np.array([4, 0, 2, 1, 5]))
    chart = class_chart(counts)
    titles = re.findall(r"<title>(.*?)</title>", chart)
    assert titles == ["2 classes of 50% to 55% accuracy", "2 classes of 95% to 100% accuracy"]


def test_coverage_chart_ends_at_the_accuracy_of_all_images() -> None:
    rng = np.random.default_rng(7)
    confidence = rng.uniform(size=5000)
    curve = accuracy_statistics.coverage(confidence, rng.uniform(size=5000) < 0.5 + confidence / 2)
    chart = coverage_chart(curve)
    points = re.search(r'points="(.*?)"', chart)[1].split(" ")
    assert len(points) == 200
    dashed = re.search(r'<line [^>]*y1="([\d.]+)"[^>]*class="ideal"', chart)[1]
    assert points[-1] == f"344.0,{float(dashed)}"
    xs = [float(point.split(",")[0]) for point in points]
    assert xs == sorted(xs)


@pytest.mark.parametrize(("right", "lowest"), [(0.95, 0.8), (0.79, 0.7), (0.75, 0.7), (0.31, 0.3)])
def test_coverage_chart_begins_at_the_tens_below_the_lowest_accuracy(
    right: float, lowest: float
) -> None:
    is_right = np.arange(1000) % 100 < 100 * right
    chart = coverage_chart(accuracy_statistics.coverage(np.linspace(1, 0, 1000), is_right))
    dashed = float(re.search(r'<line [^>]*y1="([\d.]+)"[^>]*class="ideal"', chart)[1])
    height = (226 - dashed) / 216
    assert (right - height) / (1 - height) == pytest.approx(lowest, abs=0.001)


def test_thumbnail_is_the_central_square() -> None:
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, 20:60] = (30, 60, 220)
    url = thumbnail_url(cv2.imencode(".png", image)[1].tobytes())
    content = np.frombuffer(base64.b64decode(url.removeprefix("data:image/jpeg;base64,")), np.uint8)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)
    assert decoded.shape == (160, 160, 3)
    assert np.abs(decoded.astype(int) - (30, 60, 220)).max() <= 4


def test_answers_csv_is_read_back() -> None:
    predictions = answers(5)
    rows = list(
        csv.DictReader(io.StringIO(predictions_csv(predictions, [10, 11, 12, 13, 14], NAMES)))
    )
    assert [row["record"] for row in rows] == ["10", "11", "12", "13", "14"]
    for i, row in enumerate(rows):
        assert int(row["label"]) == predictions.labels[i]
        assert row["label_name"] == NAMES[predictions.labels[i]]
        assert float(row["loss"]) == pytest.approx(predictions.losses[i], rel=1e-5)
        for k in range(5):
            assert int(row[f"top_{k + 1}"]) == predictions.classes[i, k]
            assert row[f"name_{k + 1}"] == NAMES[predictions.classes[i, k]]
            wanted = pytest.approx(predictions.probabilities[i, k], rel=1e-5)
            assert float(row[f"p_{k + 1}"]) == wanted


def rows_of(document: str, kind: str) -> list[list[str]]:
    """The texts of the cells of a table, by row."""
    table = document[document.index(f'class="card {kind}"') :]
    table = table[: table.index("</table>")]
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    return [
        [html.unescape(re.sub("<.*?>", "", c)) for c in re.findall(r"<t[hd].*?</t[hd]>", row)]
        for row in rows
    ]


def test_confusion_matrix_counts_every_image(document: str) -> None:
    predictions = answers()
    head, *rows = rows_of(document, "matrix")
    assert head == ["label, answer", *NAMES]
    assert [row[0] for row in rows] == list(NAMES)
    for label, row in enumerate(rows):
        for answer, text in enumerate(row[1:]):
            both = (predictions.labels == label) & (predictions.classes[:, 0] == answer)
            assert int(text) == both.sum()
    # For those who do not see it, or not its colours: heads, and the diagonal in another face.
    assert document.count('scope="col" title=') == document.count('class="right-answer"') == 8
    assert 'tabindex="0" role="region" aria-label="Confusion matrix"' in document


def test_precision_recall_and_f1_of_each_class(document: str) -> None:
    predictions = answers()
    answered = predictions.classes[:, 0]
    head, *rows, mean = rows_of(document, "table scores")
    assert head == ["class", "images", "precision", "recall", "F1"]
    all_recalls = []
    for label, row in enumerate(rows):
        right = np.sum((predictions.labels == label) & (answered == label))
        images, taken = np.sum(predictions.labels == label), np.sum(answered == label)
        f1 = 2 / (taken / right + images / right)
        assert row[0] == NAMES[label]
        assert row[1:] == [
            str(images),
            f"{right / taken:.1%}",
            f"{right / images:.1%}",
            f"{f1:.1%}",
        ]
        all_recalls.append(right / images)
    assert mean[:2] == ["mean of the classes", "60"]
    assert mean[3] == f"{np.mean(all_recalls):.1%}"


def test_classes_that_were_never_answered_have_no_precision() -> None:
    logits = np.array([[2, 1, 0], [2, 1, 0], [0, 0, 3]], np.float32)
    logits = np.pad(logits, ((0, 0), (0, 5)), constant_values=-9)
    rows = rows_of(page(report(score(logits, np.array([0, 1, 2], np.int32)))), "table scores")
    assert [row[1:] for row in rows[1:]] == [
        ["1", "50.0%", "100.0%", "66.7%"],
        ["1", "none", "0.0%", "0.0%"],
        ["1", "100.0%", "100.0%", "100.0%"],
        ["3", "50.0%", "66.7%", "55.6%"],
    ]


def test_of_many_classes_there_is_no_matrix() -> None:
    for number, shown in ((50, True), (51, False)):
        labels = np.arange(number, dtype=np.int32)
        many = dataclasses.replace(
            report(score(9 * np.eye(number, dtype=np.float32), labels)),
            class_names=[f"class {label}" for label in labels],
            keys=labels.tolist(),
        )
        assert ("Confusion matrix" in page(many)) == shown


@pytest.mark.parametrize("top1", [1.0, 0.99, 0.6])
def test_names_of_lines_that_end_at_the_same_place_stand_apart(top1: float) -> None:
    accuracies = [Fraction(value, Interval(value - 0.01, value)) for value in (0.5, top1)]
    chart = curve_chart([1, 2], accuracies, [0.9, 1.0])
    heights = [float(y) for y in re.findall(r'y="([\d.]+)"[^>]*>top-[15]<', chart)]
    assert len(heights) == 2
    assert heights[0] - heights[1] >= 14
