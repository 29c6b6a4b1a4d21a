"""HTML put together so that nothing that comes from outside can be anything but text.

Plain strings are always escaped, and control characters in them are spelled out; only what
`tag` made is markup.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from edge_lvr1.untrusted import visible

_VOID = frozenset({"img", "meta", "br", "source"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(element: str, /, *content: str | Iterable[str], **attributes: str | bool | None) -> Markup:
    """An element. A trailing underscore of an attribute is dropped, others become hyphens.

    An attribute that is None or False is left out, one that is True has no value.
    """
    told = "".join(
        f" {_name(key)}" if value is True else f' {_name(key)}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if element in _VOID:
        return Markup(f"<{element}{told}>")
    return Markup(f"<{element}{told}>{together(*content)}</{element}>")


def together(*content: str | Iterable[str]) -> Markup:
    """Pieces one after another; what is no markup is escaped."""
    made = []
    for piece in content:
        if isinstance(piece, Markup):
            made.append(str(piece))
        elif isinstance(piece, str):
            made.append(escaped(piece))
        else:
            made.append(str(together(*piece)))
    return Markup("".join(made))


def escaped(text: str) -> str:
    """Text as HTML, wherever it stands."""
    return html.escape(visible(text, lines=True), quote=True)


def _name(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
