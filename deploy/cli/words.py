"""Texts that an operator gives and we keep; the operator's name, from the system and not from the environment."""

import os
import pwd
from typing import Final
from unicodedata import category

import click
from sqlalchemy.engine import make_url

from deploy.settings import Settings
from domain.approval import Person
from schemas.cards import contains_card_number

LONGEST: Final = {"reason": 500, "by": 64, "reference": 255, "request_id": 64}
"""In characters, by the option's name."""


def check_words(_: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Check one line of text. Card numbers are refused: a stored one could not be removed, and the audit reports it."""
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


def person(settings: Settings, goes_by: str | None = None) -> Person:
    """Return who runs the command: the OS user and the database role, which no option changes. goes_by: of --by."""
    url = settings.sqlalchemy_url()
    return Person(os_user(), make_url(url).username or "", goes_by)


def os_user() -> str:
    """Return the user's name, or the number if it has no name (as in a container)."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
