"""Makes HTML of nested values. Text is always escaped; only what these functions made is taken as it is."""

from html import escape
from typing import Final

_EMPTY: Final = frozenset({"meta", "link", "br"})
_NAMES: Final = {"class_": "class", "name_": "name", "http_equiv": "http-equiv", "aria_current": "aria-current"}


class Html(str):
    """Markup that was made here. Any other text is escaped where it is put in."""

    __slots__ = ()


Child = str | None
"""Text, markup, or None for nothing."""


def tag(name: str, *children: Child, **attributes: str | bool | None) -> Html:
    """Return an element. An attribute that is None or False is left out; True stands alone."""
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = _NAMES.get(key, key)  # noqa: PLW2901 - Python's name of the attribute becomes HTML's
        words.append(key if value is True else f'{key}="{escape(str(value))}"')
    opened = f"<{' '.join(words)}>"
    return Html(opened if name in _EMPTY else f"{opened}{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Return these one after the other."""
    return Html("".join(each if isinstance(each, Html) else escape(each) for each in children if each is not None))


def text_with_code(text: str) -> Html:
    """Return a text in which words between backquotes are code."""
    parts = text.split("`")
    return join(*(tag("code", part) if number % 2 else part for number, part in enumerate(parts)))


def bullets(*items: Child) -> Html:
    """Return a list."""
    return tag("ul", *(tag("li", item) for item in items))


def table(heads: tuple[str, ...], *rows: tuple[Child, ...]) -> Html:
    """Return a table. On a narrow screen each row is a block, and each cell says its column."""
    body = (tag("tr", *(tag("td", cell) for cell in row)) for row in _labelled(heads, rows))
    made = tag("table", tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))), tag("tbody", *body))
    return tag("div", made, class_="wide")


def _labelled(heads: tuple[str, ...], rows: tuple[tuple[Child, ...], ...]) -> list[tuple[Html, ...]]:
    """Put the name of its column before each cell. A wide screen does not show it."""
    return [
        tuple(join(tag("span", f"{head}: ", class_="of"), cell) for head, cell in zip(heads, row, strict=True))
        for row in rows
    ]


def details(title: str, *children: Child, opened: bool = False) -> Html:
    """Return a part that opens at a click."""
    return tag("details", tag("summary", title), *children, open=opened)


def section(anchor: str, title: str, *children: Child) -> Html:
    """Return a part of a page, with a heading that can be linked to."""
    return tag("section", tag("h2", tag("a", title, href=f"#{anchor}")), *children, id=anchor)
