"""The frame of every page of a report."""

from __future__ import annotations

from mobilenet.validation.report.html_elements import Markup, element
from mobilenet.validation.report.stylesheet import STYLE

# A page holds all it shows; whatever a name in the data contains, nothing is ever fetched.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def document(title: str, *body: Markup) -> str:
    """A whole document of HTML around the elements of `body`."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', *body), lang='en')}\n"
