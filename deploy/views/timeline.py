"""An order's timeline: every row that has a time becomes an entry, the oldest first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from deploy.views.times import moment
from domain.errors import Transient
from domain.messages import MessageState
from domain.operation import INVENTORY_KINDS, OperationState
from outbox.operators.queries import OrderRows, Record
from schemas.events import Event, ItemsRestocked
from schemas.money import Money
from schemas.records import OwnEvent
from schemas.registry import NotRegistered, RegistryUnavailable
from schemas.rejection import Rejected

Decode = Callable[[str, bytes | None, bytes | None], Event]

ENVELOPE = frozenset(OwnEvent.model_fields)
# Shown elsewhere: with the order, and with its attempts and holds.
SHOWN_ELSEWHERE = frozenset({"attempt", "customer_id", "currency", "lines", "reservation_id"})

# The customer's sentence for a failure code: the entry of the notification shows it.
IN_NOTIFICATION = frozenset({"reason"})


class Rank:
    """The order of entries that have the same time."""

    RECEIVED, RESOLVED, TOLD, SETTLED, ENDED, EVENT, OPENED, NOTICE = range(8)


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """An event of the journal. data: its own fields, None when the body cannot be read."""

    row: Record
    type: str
    data: Mapping[str, Any] | None


class Entry(NamedTuple):
    """One line of the timeline; its fields sort it. number: keeps the order of rows that have the same time."""

    at: datetime
    rank: int
    number: int
    who: str
    what: str
    details: str


def decode_row(row: Record, prefix: str, decode: Decode) -> JournalEvent:
    """Decode a row of the journal; a body that cannot be read gives an event without data."""
    event_type = row["topic"].removeprefix(prefix)
    try:
        event = decode(event_type, row["order_id"].encode(), row["body"])
    except (Rejected, Transient, NotRegistered, RegistryUnavailable):
        return JournalEvent(row, event_type, None)
    return JournalEvent(row, event_type, event.model_dump(mode="json", exclude=set(ENVELOPE)))


def decode_journal(stored: OrderRows, prefix: str, decode: Decode) -> list[JournalEvent]:
    """Decode all events of an order."""
    return [decode_row(row, prefix, decode) for row in stored.events]


def timeline(stored: OrderRows, events: Sequence[JournalEvent]) -> list[Entry]:
    """Return all entries, the oldest first."""
    order = stored.order
    total = str(Money(order["total_minor"], order["currency"]))
    entries = [Entry(order["created_at"], Rank.RECEIVED, 0, "checkout", "order received", total)]
    entries += [entry for number, row in enumerate(stored.operations) for entry in _of_operation(number, row)]
    entries += [_of_event(number, each, stored.unsent) for number, each in enumerate(events)]
    entries += [entry for number, row in enumerate(stored.notifications) for entry in _of_notice(number, row)]
    entries += [_of_resolution(number, row) for number, row in enumerate(stored.resolutions)]
    entries += [entry for number, row in enumerate(stored.requests) for entry in _of_request(number, row)]
    if order["preparation_started_at"] is not None:
        entries.append(Entry(order["preparation_started_at"], Rank.TOLD, 0, "order preparation", "has begun", ""))
    entries += [_of_told(number, row) for number, row in enumerate(stored.told)]
    entries += [_of_dead_letter(number, row) for number, row in enumerate(stored.dead_letters)]
    return sorted(entries)


def _of_operation(number: int, row: Record) -> Iterator[Entry]:
    kind, again = row["kind"], "" if row["try_number"] <= 1 else f", try {row['try_number']}"
    if row["try_number"] < 0:
        yield _of_foreign_refund(number, row)
        return
    amount = str(Money(row["amount_minor"], row["currency"])) if row["amount_minor"] else ""
    calls = "" if row["tries"] <= 1 else f"{row['tries']} calls"
    turned_away = row["state"] == OperationState.OPEN and row["tries"] > 0
    answers = (row["detail"], row["request_id"], calls) if turned_away else ()
    details = _joined(f"attempt {row['attempt']}{again}", amount, *answers)
    yield Entry(row["opened_at"], Rank.OPENED, number, row["reaction"], f"{kind} begun", details)
    goods = kind in INVENTORY_KINDS
    answerer, transaction_id = ("inventory", None) if goods else ("gateway", row["transaction_id"])
    if row["settled_at"] is not None:
        who = row["by"] or answerer
        said = _joined(transaction_id, row["reference"], row["detail"], row["reason"], row["request_id"], calls)
        yield Entry(row["settled_at"], Rank.SETTLED, number, who, f"{kind} {row['state']}", said)
    elif row["unknown_since"] is not None:
        due = "" if row["due_at"] is None else f"next look {moment(row['due_at'])}"
        said = _joined(transaction_id, row["reference"], row["detail"], row["request_id"], calls, due)
        yield Entry(row["unknown_since"], Rank.SETTLED, number, answerer, f"{kind} {row['state']}", said)


def _of_event(number: int, event: JournalEvent, unsent: frozenset[int]) -> Entry:
    facts = ["cannot be read"] if event.data is None else list(facts_of(event.data))
    if event.data is not None and event.type == ItemsRestocked.TYPE:
        facts += [f"{line['quantity']} x {line['sku']}" for line in event.data["lines"]]
    waiting = "not sent yet" if event.row["id"] in unsent else ""
    details = _joined(f"version {event.row['order_version']}", *facts, waiting)
    return Entry(event.row["occurred_at"], Rank.EVENT, number, "payments", event.type, details)


def _of_notice(number: int, row: Record) -> Iterator[Entry]:
    """Return what was to be told, and what became of it. With the notifier `log` nobody is told."""
    who, kind = "notify_customer", row["kind"]
    if row["sent_at"] is not None:
        yield Entry(row["recorded_at"], Rank.NOTICE, number, who, "message to the customer", _joined(kind, row["text"]))
        yield Entry(row["sent_at"], Rank.NOTICE, number, who, "customer told", kind)
    elif row["state"] is None or row["stale"]:
        what = "not told, too late" if row["stale"] else "message logged, not sent"
        yield Entry(row["recorded_at"], Rank.NOTICE, number, who, what, _joined(kind, row["text"]))
    else:
        tries = f"{row['tries']} tries" if row["tries"] else ""
        due = "" if row["due_at"] is None else f"next {moment(row['due_at'])}"
        what = "customer not told" if row["state"] == MessageState.GIVEN_UP else "message to the customer waits"
        at = row["settled_at"] or row["recorded_at"]
        yield Entry(at, Rank.NOTICE, number, who, what, _joined(kind, row["text"], row["error"], tries, due))


def _of_resolution(number: int, row: Record) -> Entry:
    what = f"{row['review_reason']}: {row['word']}"
    return Entry(row["at"], Rank.RESOLVED, number, row["by"], what, _joined(row["reason"], row["reference"]))


def _of_foreign_refund(number: int, row: Record) -> Entry:
    amount = str(Money(row["amount_minor"], row["currency"]))
    details = _joined(f"attempt {row['attempt']}", amount, row["reference"], row["detail"])
    return Entry(row["opened_at"], Rank.SETTLED, number, "somebody else", f"refund {row['state']}", details)


def _of_request(number: int, row: Record) -> Iterator[Entry]:
    """Return when it was asked for, and how it ended."""
    who, kind, name = row["operator"] or row["requested_by"], row["kind"], row["request_id"]
    yield Entry(row["noted_at"], Rank.RESOLVED, number, who, f"{kind} asked for", _joined(name, row["reason"]))
    if row["approved_at"] is not None:
        yield Entry(row["approved_at"], Rank.RESOLVED, number, row["approved_by"], f"{kind} approved", name)
    if row["ended_at"] is not None:
        ended = f"{kind} {row['state']}"
        yield Entry(row["ended_at"], Rank.ENDED, number, "payments", ended, _joined(name, row["refused"]))


def _of_told(number: int, row: Record) -> Entry:
    waits = "" if row["fate"] == "applied" else "not booked yet"
    return Entry(row["received_at"], Rank.TOLD, number, "gateway", row["type"], _joined(row["object_id"], waits))


def _of_dead_letter(number: int, row: Record) -> Entry:
    details = _joined(row["detail"], f"{row['topic']}/{row['partition']}/{row['message_offset']}")
    what = f"refused: {row['reason']}"
    return Entry(row["first_at"], Rank.NOTICE, number, row["consumer_group"], what, details)


def facts_of(data: Mapping[str, Any]) -> Iterator[str]:
    """Write the fields of an event that are not shown elsewhere, money as money."""
    left_out = SHOWN_ELSEWHERE | IN_NOTIFICATION if "failure_code" in data else SHOWN_ELSEWHERE
    for name, value in data.items():
        if name in left_out or value is None or value is False or value == []:
            continue
        if name == "amount_minor":
            yield str(Money(value, data["currency"]))
        elif name == "missing":
            yield ", ".join(_missing(item) for item in value)
        elif value is True:
            yield name
        elif name.endswith(("_at", "_until")):
            yield f"{name.replace('_', ' ')} {moment(datetime.fromisoformat(value))}"
        elif name == "money":
            yield f"money {value}"
        else:
            yield str(value)


def _missing(item: Mapping[str, Any]) -> str:
    there = "unknown here" if item["available"] is None else f"{item['available']} there"
    return f"{item['sku']}: {item['requested']} wanted, {there}"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
