"""The charts of the report, as SVG.

Their colours are classes of the style sheet, so that they follow its theme.
"""

from __future__ import annotations

from typing import NamedTuple, Sequence

import numpy as np

from mobilenet.validation.accuracy_statistics import (
    Bin,
    Calibration,
    ClassCounts,
    Coverage,
    Interval,
    coverage,
)
from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.report_data import Report

_WIDTH, _HEIGHT = 360, 262
_LEFT, _TOP, _RIGHT, _BOTTOM = 44, 10, 344, 226
_STRIP = 22  # below the calibration chart
_NAME_DISTANCE = 14  # of the names of two lines that end at the same place
_MAX_POINTS = 200


class Fraction(NamedTuple):
    """A measured fraction with its confidence interval."""

    value: float
    interval: Interval


class _Scale(NamedTuple):
    """From a range of fractions on the y axis, and from 0 to 1 on the x axis, to SVG units."""

    low: float = 0.0

    def x(self, fraction: float) -> float:
        return round(_LEFT + fraction * (_RIGHT - _LEFT), 2)

    def y(self, fraction: float) -> float:
        return round(_BOTTOM - (fraction - self.low) / (1 - self.low) * (_BOTTOM - _TOP), 2)


def chart_cards(report: Report) -> Markup:
    """The cards of the charts of calibration, coverage and classes."""
    return element(
        "section",
        _card(
            "Calibration",
            "Accuracy per bin of confidence; red: gap to the ideal. Below: images per bin (square"
            " root).",
            calibration_chart(report.calibration),
        ),
        _card(
            "Coverage",
            "Accuracy on the most confident part of the images; dashed: on all of them.",
            coverage_chart(coverage(report.confidence, report.correct)),
        ),
        _card(
            "Classes",
            "Number of classes by accuracy.",
            class_chart(report.counts),
        ),
        class_="charts",
        style="margin-top:14px",
    )


def _card(title: str, caption: str, chart: Markup) -> Markup:
    return element("div", element("h3", title), element("p", caption), chart, class_="card")


def calibration_chart(calibration: Calibration) -> Markup:
    """Accuracy against confidence per bin, with the gap between them; below, the images per bin."""
    scale = _Scale()
    filled = [item for item in calibration.bins if item.num_images]
    most = max(item.num_images for item in filled)
    bars = [mark for item in filled for mark in _bin(item, scale, most)]
    diagonal = _line((scale.x(0), scale.y(0)), (scale.x(1), scale.y(1)), "ideal")
    label = f"Reliability diagram; expected calibration error {calibration.error:.4f}"
    axes = _axes(scale, "confidence")
    return _figure(label, axes, *bars, diagonal, height=_HEIGHT + _STRIP)


def _bin(item: Bin, scale: _Scale, most: int) -> list[Markup]:
    left, right = scale.x(item.low) + 0.75, scale.x(item.high) - 0.75
    inset = (right - left) * 0.35
    accuracy, confidence = scale.y(item.accuracy), scale.y(item.confidence)
    title = element(
        "title",
        f"{item.num_images} images of {item.low:.0%} to {item.high:.0%} confidence:"
        f" {item.accuracy:.1%} right",
    )
    # The square root keeps bins of few images visible beside those of very many.
    bottom, height = _HEIGHT + _STRIP, (_STRIP - 2) * (item.num_images / most) ** 0.5
    return [
        _bar((left, right), (accuracy, scale.y(0)), "bar", title),
        _bar((left + inset, right - inset), (accuracy, confidence), "gap"),
        _bar((left, right), (bottom - height, bottom), "count", title),
    ]


def coverage_chart(curve: Coverage) -> Markup:
    """Accuracy on the most confident images against the part of the images they are."""
    lowest = float(curve.accuracy.min())
    scale = _Scale(min(0.8, np.floor(lowest * 10) / 10))
    chosen = np.linspace(0, len(curve.fraction) - 1, _MAX_POINTS).round().astype(int)
    points = [
        f"{scale.x(curve.fraction[i])},{scale.y(curve.accuracy[i])}"
        for i in dict.fromkeys(chosen.tolist())
    ]
    overall = float(curve.accuracy[-1])
    return _figure(
        f"Accuracy against coverage; {overall:.1%} with every image",
        _axes(scale, "part of the images, most confident first"),
        _line((scale.x(0), scale.y(overall)), (scale.x(1), scale.y(overall)), "ideal"),
        element("polyline", points=" ".join(points), class_="curve"),
    )


def curve_chart(steps: Sequence[int], top1: Sequence[Fraction], top5: Sequence[float]) -> Markup:
    """Accuracies against the step: lines for top-1, in the band of its interval, and for top-5.

    There is at least one step; they rise.
    """
    lowest = min(bounds.low for _, bounds in top1)
    scale = _Scale(min(0.9, np.floor(10 * lowest) / 10))
    places = [scale.x(step / max(steps[-1], 1)) for step in steps]
    lower = [f"{x},{scale.y(bounds.low)}" for x, (_, bounds) in zip(places, top1)]
    upper = [f"{x},{scale.y(bounds.high)}" for x, (_, bounds) in zip(places, top1)]
    ends = [
        element("text", "0", x=_LEFT, y=_BOTTOM + 14, text_anchor="middle"),
        element("text", f"{steps[-1]:,}", x=_RIGHT, y=_BOTTOM + 14, text_anchor="end"),
    ]
    name = element("text", "step", x=(_LEFT + _RIGHT) / 2, y=_BOTTOM + 28, text_anchor="middle")
    lines = {"top-1": [accuracy for accuracy, _ in top1], "top-5": list(top5)}
    top5_name = _name_height(scale, top5[-1])
    top1_name = _name_height(scale, lines["top-1"][-1])
    if abs(top1_name - top5_name) < _NAME_DISTANCE:
        top1_name = top5_name + _NAME_DISTANCE
    return _figure(
        f"Top-1 and top-5 accuracy of {len(steps)} checkpoints",
        element("g", *_y_axis(scale), *ends, name),
        element("polygon", points=" ".join(lower + upper[::-1]), class_="band"),
        _curve(scale, "top-1", list(zip(places, lines["top-1"])), top1_name),
        _curve(scale, "top-5", list(zip(places, lines["top-5"])), top5_name),
    )


def _name_height(scale: _Scale, value: float) -> float:
    """Where the name of a line stands that ends at `value`: on the side that has room."""
    height = scale.y(value)
    return height + (22 if height < (_TOP + _BOTTOM) / 2 else -14)


def _curve(
    scale: _Scale, name: str, values: Sequence[tuple[float, float]], name_height: float
) -> Markup:
    """A line with a dot at each value (x in SVG units, accuracy), and its name at the end."""
    points = [(x, scale.y(value)) for x, value in values]
    kind = "second" if name == "top-5" else "first"
    dots = [
        element("circle", element("title", f"{name} {value:.2%}"), cx=x, cy=y, r=2.5, class_=kind)
        for (x, y), (_, value) in zip(points, values)
    ]
    return element(
        "g",
        element("polyline", points=" ".join(f"{x},{y}" for x, y in points), class_=f"curve {kind}"),
        *dots,
        element("text", name, x=points[-1][0] - 4, y=name_height, text_anchor="end", class_="note"),
    )


def class_chart(counts: ClassCounts) -> Markup:
    """How many classes have which accuracy, in twenty bars."""
    present = counts.num_images > 0
    accuracies = counts.num_correct[present] / counts.num_images[present]
    heights, edges = np.histogram(accuracies, bins=20, range=(0, 1))
    scale, most = _Scale(), heights.max()
    bars = [
        _bar(
            (scale.x(low) + 0.75, scale.x(high) - 0.75),
            (scale.y(number / most), scale.y(0)),
            "bar",
            element("title", f"{number} classes of {low:.0%} to {high:.0%} accuracy"),
        )
        for number, low, high in zip(heights.tolist(), edges[:-1].tolist(), edges[1:].tolist())
        if number
    ]
    label = f"Accuracies of {len(accuracies)} classes"
    axis = [_line((_LEFT, _BOTTOM), (_RIGHT, _BOTTOM), "axis")]
    axis += _x_axis(scale, "accuracy of the class")
    return _figure(label, *axis, _classes(int(most)), *bars)


def _classes(most: int) -> Markup:
    noun = "class" if most == 1 else "classes"
    return element("text", f"{most} {noun}", x=_LEFT, y=_TOP + 8, class_="note")


def _figure(label: str, *children: Markup, height: int = _HEIGHT) -> Markup:
    box = f"0 0 {_WIDTH} {height}"
    return element("svg", *children, viewBox=box, role="img", aria_label=label)


def _axes(scale: _Scale, x_label: str) -> Markup:
    return element("g", *_y_axis(scale), *_x_axis(scale, x_label))


def _y_axis(scale: _Scale) -> list[Markup]:
    step = 0.2 if scale.low < 0.6 else 0.05 if scale.low >= 0.8 else 0.1
    ticks = []
    for value in np.arange(1, scale.low - 1e-9, -step).tolist():
        y = scale.y(value)
        ticks.append(_line((_LEFT, y), (_RIGHT, y), "grid"))
        ticks.append(element("text", f"{value:.0%}", x=_LEFT - 6, y=y + 4, text_anchor="end"))
    return [_line((_LEFT, _BOTTOM), (_RIGHT, _BOTTOM), "axis"), *ticks]


def _x_axis(scale: _Scale, label: str) -> list[Markup]:
    ticks = [
        element("text", f"{value}%", x=scale.x(value / 100), y=_BOTTOM + 14, text_anchor=anchor)
        # The first would touch the lowest of the other axis.
        for value, anchor in zip(range(0, 101, 20), ("start", *["middle"] * 5))
    ]
    middle = (_LEFT + _RIGHT) / 2
    name = element("text", label, x=middle, y=_BOTTOM + 28, text_anchor="middle", class_="name")
    return [*ticks, name]


def _line(start: tuple[float, float], end: tuple[float, float], kind: str) -> Markup:
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=kind)


def _bar(
    sides: tuple[float, float], ends: tuple[float, float], kind: str, *children: Markup
) -> Markup:
    (left, right), (top, bottom) = sides, sorted(ends)
    size = {"width": round(right - left, 2), "height": round(bottom - top, 2)}
    return element("rect", *children, x=round(left, 2), y=round(top, 2), **size, class_=kind)
