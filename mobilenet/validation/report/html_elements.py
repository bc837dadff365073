"""HTML and SVG elements whose text is always escaped."""

from __future__ import annotations

import html

_VOID = {"img", "meta"}


class Markup(str):
    """Text that is HTML already; any other string is escaped where it becomes part of one."""


def element(tag: str, /, *children: str, **attributes: object) -> Markup:
    """The element `tag` around its children.

    In the names of attributes `_` stands for `-`, and `class_` for `class`.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{joined(children)}</{tag}>")


def joined(children: tuple[str, ...] | list[str]) -> Markup:
    """The children one after the other, as one piece of markup."""
    return Markup(
        "".join(child if isinstance(child, Markup) else html.escape(child) for child in children)
    )
