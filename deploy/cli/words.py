"""What an operator says for the record, and who that is by the word of the system and not the environment's."""

import os
import pwd
from typing import Final
from unicodedata import category

import click

from schemas.cards import contains_card_number

LONGEST: Final = {"reason": 500, "by": 64, "reference": 255}
"""In characters, by the option's name."""


def checked_words(_: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Take one line of text. Card numbers are refused: nothing takes one back, and the audit would find it for ever."""
    if text is None:
        return None
    text, name = text.strip(), parameter.name or ""
    if not 1 <= len(text) <= LONGEST[name] or any(category(c) in {"Cc", "Cs"} for c in text):
        raise click.BadParameter(f"it has 1 to {LONGEST[name]} characters, none of them a control character")
    if contains_card_number(text):
        raise click.BadParameter("it has a card number: nothing of that kind is stored here")
    if name == "reference" and any(c.isspace() for c in text):
        raise click.BadParameter("an id of the gateway has no spaces")
    return text


def os_user() -> str:
    """Return the user's name, or the number of one that has none (as in a container)."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
