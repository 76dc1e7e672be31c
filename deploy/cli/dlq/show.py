"""`payments dlq show`: one dead letter, without tokens and card numbers."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import click

from deploy.cli.common import answer, json_option, settings_with_schema
from deploy.contracts import codec_of
from deploy.failures import Failure
from deploy.settings import Settings
from deploy.views.letters import document, whole_letter
from outbox.operators.letter_list import LETTER, Selection, headers_and_bytes, letter_list
from outbox.operators.queries import Record, snapshot
from schemas.cards import mask

_ID = re.compile(r"Q?[1-9][0-9]{0,17}")
_TOKEN = re.compile(r"\b(?:pm|tok|src|ctoken|cus)_\w{4,}|\bBearer\s+\S+", re.IGNORECASE)
"""Tokens of payment methods, the gateway's customers, and credentials."""
_SECRET = ("token", "gateway_customer_id")
"""Of payment_method."""
CLOUD_EVENTS = "ce_"
HIDDEN = "(hidden)"


class LetterId(click.ParamType):  # type: ignore[type-arg]
    """The id of a letter, `17`, or of work in quarantine, `Q12`."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it."""
        name = str(value).upper()
        if not _ID.fullmatch(name):
            self.fail(f"{value!r} is no id: letters are 1, 2, 3, work in quarantine is Q1, Q2, Q3", param, ctx)
        return name


@click.command()
@click.argument("letter_id", metavar="ID", type=LetterId())
@json_option
def show(*, letter_id: str, as_json: bool) -> None:
    """Show letter ID: why it was refused, what it says, and who had it redriven.

    The token of a payment method, and the gateway's id of the customer, are never shown.
    """
    settings = settings_with_schema(changes=False)
    with snapshot(settings.sqlalchemy_url()) as connection:
        found = letter_list(connection, Selection(ids=[letter_id]))
        if not found:
            raise Failure(f"there is no letter {letter_id}: `payments dlq list` shows the last ones")
        (record,) = found
        carried = headers_and_bytes(connection, record["number"]) if record["kind"] == LETTER else None
    more = _work(record) if carried is None else _contents(settings, record, carried)
    answer({"letters": [document(record, **more)], "more": False}, whole_letter(record, more), as_json=as_json)


def _work(record: Record) -> dict[str, Any]:
    operation_id = record["operation_id"]
    return {
        "operation_id": None if operation_id is None else str(operation_id),
        "message_id": record["message_id"],
        "trace": record["trace"],
    }


def _contents(settings: Settings, record: Record, carried: Record) -> dict[str, Any]:
    # What is left of a body whose token is erased has another length and hash.
    body = carried["body"] if carried["erased_at"] is None else None
    event = _event(settings, record, carried)
    method = {} if event is None else event.get("payment_method") or {}
    secrets = [method[name] for name in _SECRET if method.get(name)]
    method |= dict.fromkeys([name for name in _SECRET if method.get(name)], HIDDEN)
    names, values = carried["header_names"], carried["header_values"]
    return {
        "key": _text(carried["key"]),
        "headers": [list(_header(name, value, secrets)) for name, value in zip(names, values, strict=True)],
        "body_bytes": None if body is None else len(body),
        "body_sha256": None if body is None else hashlib.sha256(body).hexdigest(),
        "event": event,
    }


def _event(settings: Settings, record: Record, carried: Record) -> dict[str, Any] | None:
    """Return the event of a letter, its token included; None if it cannot be read."""
    event_type = record["topic"].removeprefix(settings.topic_prefix)
    try:
        codec = codec_of(settings)
        read = codec.decode if carried["erased_at"] is None else codec.read
        event = read(event_type, carried["key"], carried["body"])
    except Exception:  # noqa: BLE001 - perhaps the letter is here because decoding raised
        return None
    said: dict[str, Any] = event.model_dump(mode="json")
    return said


def _header(name: str, value: bytes | None, secrets: Sequence[str]) -> tuple[str, str | None]:
    """Return a header without card numbers and tokens. CloudEvents' headers hold ids, which may look like either."""
    if name.startswith(CLOUD_EVENTS) or value is None:
        return _mask(name), _text(value)
    text = _mask(_text(value) or "")
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return _mask(name), _TOKEN.sub(HIDDEN, text)


def _mask(text: str) -> str:
    return mask(text.encode())[0].decode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")
