"""The report as one page of HTML, without scripts, that fetches nothing.

The order of its sections; each section is a file of its name beside this one.
"""

from __future__ import annotations

from mobilenet.validation.report.charts import chart_cards
from mobilenet.validation.report.confident_mistakes import confident_mistakes
from mobilenet.validation.report.confused_pairs import confused_pairs
from mobilenet.validation.report.confusion_matrix import confusion_sections
from mobilenet.validation.report.html_document import document
from mobilenet.validation.report.html_elements import element
from mobilenet.validation.report.report_data import Report
from mobilenet.validation.report.summary import facts_list, tiles
from mobilenet.validation.report.worst_classes import worst_classes


def page(report: Report) -> str:
    """The whole HTML document."""
    return document(
        f"Validation of {report.title}",
        element("header", "Validation"),
        element("h1", report.title),
        facts_list(report.facts),
        tiles(report),
        chart_cards(report),
        worst_classes(report),
        *confusion_sections(report),
        *confused_pairs(report),
        *confident_mistakes(report),
        element("footer", "Every record was counted once. Intervals are Wilson's, of 95 %."),
    )
