"""Makes foreign text safe for a terminal: a control character in it could move the cursor or hide a line."""

import re
from typing import Final
from unicodedata import category

SPACES: Final = "Zs"
_IN_JSON: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
r"""What JSON need not escape (it does below U+0020) but a terminal obeys: C1 controls, changes of direction."""


def visible(text: str) -> str:
    r"""Escape unprintable characters as Python does (\x1b); spaces of any kind stay. The result is one line."""
    return text if text.isprintable() else "".join(map(_visible, text))


def visible_json(document: str) -> str:
    """Escape in a JSON document what a terminal would obey. Its values stay the same."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _visible(each: str) -> str:
    return each if each.isprintable() or category(each) == SPACES else each.encode("unicode_escape").decode()
