"""Texts that an operator gives and we keep; the operator's name, from the system and not from the environment."""

import os
import pwd
from typing import Final
from unicodedata import category

import click
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from deploy.failures import Failure
from deploy.running import now
from deploy.settings import Settings
from deploy.views.early_text import not_come
from domain.approval import Person
from domain.requests import RequestState
from outbox.driver.conninfo import libpq_url
from outbox.operators.early_list import early_list
from outbox.operators.queries import snapshot
from schemas.cards import contains_card_number

LONGEST: Final = {"reason": 500, "by": 64, "reference": 255, "request_id": 64}
"""In characters, by the option's name."""

OPTIONS: Final = {
    "amount_minor": "--amount",
    "lines": "--restock",
    "reason": "--reason",
    "requested_by": "--by",
    "request_id": "--request-id",
}
"""Where a field of a request comes from."""
STATES: Final = {RequestState.APPROVAL.value: "waiting for a second person"}
"""In a sentence; the others as they are."""


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
    user = conninfo_to_dict(libpq_url(settings.psycopg_url())).get("user")
    return Person(os_user(), str(user or ""), goes_by)


def os_user() -> str:
    """Return the user's name, or the number if it has no name (as in a container)."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def unfit(error: ValidationError, order_id: str) -> Exception:
    """Return what to raise for a request that cannot be right: an id that no order has, or a wrong option."""
    names = {str(one["loc"][0]) if one["loc"] else "" for one in error.errors(include_input=False)}
    if "order_id" in names:
        return unknown_order(order_id)
    return click.UsageError(f"this cannot be asked for: look at {', '.join(sorted(OPTIONS.get(n, n) for n in names))}")


def unknown_order(order_id: str) -> Failure:
    """Return what to raise for an order that is not here."""
    return Failure(f"there is no order {order_id}: `payments order list` shows the last ones")


def not_there(settings: Settings, order_id: str) -> Failure:
    """Return what to raise for an order that is not here: it may still come, and messages may wait for it."""
    with snapshot(settings.sqlalchemy_url()) as connection:
        early = early_list(connection, order_id)
    return Failure(not_come(order_id, early, settings.topic_prefix, now())) if early else unknown_order(order_id)


def not_taken(order_id: str, request_id: str, refused: str, detail: str) -> Failure:
    """Return what to raise for a request that is not kept. An event's publisher would be told the detail."""
    if refused != "conflict":
        return Failure(f"{refused}: {detail}")
    shows = f"`payments order show {order_id}` shows it"
    return Failure(f"conflict: order {order_id} has another request {request_id}: {shows}. Choose another --request-id")
