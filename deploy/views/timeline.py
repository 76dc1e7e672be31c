"""An order's timeline: every row that has a time becomes an entry, in the order in which things happened."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from domain.errors import Transient
from outbox.operators.queries import OrderStory, Record
from schemas.events import Event
from schemas.money import Money
from schemas.records import OwnEvent
from schemas.registry import NotRegistered, RegistryUnavailable
from schemas.rejection import Rejected

Decode = Callable[[str, bytes | None, bytes | None], Event]

ENVELOPE = frozenset(OwnEvent.model_fields)
# Said elsewhere in the story: with the order, and with its attempts and holds.
FAMILIAR = frozenset({"attempt", "customer_id", "currency", "lines", "reservation_id"})

# The sentence beside a failure code; its notification shows it.
SAID_TO_CUSTOMERS = frozenset({"reason"})


class Rank:
    """What comes first of what happened in one transaction, at one moment."""

    RECEIVED, RESOLVED, SETTLED, EVENT, OPENED, NOTICE = range(6)


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the journal. data: its own fields, None when the body cannot be read."""

    row: Record
    type: str
    data: Mapping[str, Any] | None


class Entry(NamedTuple):
    """One line of the timeline, in sorting order; number keeps the order of rows of one moment."""

    at: datetime
    rank: int
    number: int
    who: str
    what: str
    details: str


def told_by(row: Record, prefix: str, decode: Decode) -> Told:
    """Read a row of the journal; a body that cannot be read leaves the rest of the story to be told."""
    event_type = row["topic"].removeprefix(prefix)
    try:
        event = decode(event_type, row["order_id"].encode(), row["body"])
    except (Rejected, Transient, NotRegistered, RegistryUnavailable):
        return Told(row, event_type, None)
    return Told(row, event_type, event.model_dump(mode="json", exclude=set(ENVELOPE)))


def told_of(story: OrderStory, prefix: str, decode: Decode) -> list[Told]:
    """Read all that the journal has of an order."""
    return [told_by(row, prefix, decode) for row in story.events]


def timeline(story: OrderStory, told: Sequence[Told]) -> list[Entry]:
    """Return all entries in the order of time."""
    order = story.order
    total = str(Money(order["total_minor"], order["currency"]))
    entries = [Entry(order["created_at"], Rank.RECEIVED, 0, "checkout", "order received", total)]
    entries += [entry for number, row in enumerate(story.operations) for entry in _of_operation(number, row)]
    entries += [_of_event(number, each, story.unsent) for number, each in enumerate(told)]
    entries += [_of_notice(number, row) for number, row in enumerate(story.notifications)]
    entries += [_of_resolution(number, row) for number, row in enumerate(story.resolutions)]
    entries += [_of_dead_letter(number, row) for number, row in enumerate(story.dead_letters)]
    return sorted(entries)


def _of_operation(number: int, row: Record) -> Iterator[Entry]:
    kind, again = row["kind"], "" if row["try_number"] == 1 else f", try {row['try_number']}"
    amount = str(Money(row["amount_minor"], row["currency"])) if row["amount_minor"] else ""
    details = _joined(f"attempt {row['attempt']}{again}", amount)
    yield Entry(row["opened_at"], Rank.OPENED, number, row["reaction"], f"{kind} begun", details)
    calls = "" if row["tries"] <= 1 else f"{row['tries']} calls"
    if row["settled_at"] is not None:
        who = row["by"] or "gateway"
        said = _joined(row["transaction_id"], row["reference"], row["detail"], row["reason"], calls)
        yield Entry(row["settled_at"], Rank.SETTLED, number, who, f"{kind} {row['state']}", said)
    elif row["unknown_since"] is not None:
        due = "" if row["due_at"] is None else f"next look {moment(row['due_at'])}"
        said = _joined(row["transaction_id"], row["reference"], row["detail"], calls, due)
        yield Entry(row["unknown_since"], Rank.SETTLED, number, "gateway", f"{kind} {row['state']}", said)


def _of_event(number: int, told: Told, unsent: frozenset[int]) -> Entry:
    facts = ["cannot be read"] if told.data is None else list(facts_of(told.data))
    waiting = "not sent yet" if told.row["id"] in unsent else ""
    details = _joined(f"version {told.row['order_version']}", *facts, waiting)
    return Entry(told.row["occurred_at"], Rank.EVENT, number, "payments", told.type, details)


def _of_notice(number: int, row: Record) -> Entry:
    what = "not told, too late" if row["stale"] else "customer told"
    return Entry(row["recorded_at"], Rank.NOTICE, number, "notify_customer", what, _joined(row["kind"], row["text"]))


def _of_resolution(number: int, row: Record) -> Entry:
    what = f"{row['review_reason']}: {row['word']}"
    return Entry(row["at"], Rank.RESOLVED, number, row["by"], what, _joined(row["reason"], row["reference"]))


def _of_dead_letter(number: int, row: Record) -> Entry:
    details = _joined(row["detail"], f"{row['topic']}/{row['partition']}/{row['message_offset']}")
    what = f"refused: {row['reason']}"
    return Entry(row["first_at"], Rank.NOTICE, number, row["consumer_group"], what, details)


def facts_of(data: Mapping[str, Any]) -> Iterator[str]:
    """Say what of an event's own fields is not said elsewhere, money as money."""
    familiar = FAMILIAR | SAID_TO_CUSTOMERS if "failure_code" in data else FAMILIAR
    for name, value in data.items():
        if name in familiar or value is None or value is False or value == []:
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


def moment(at: datetime) -> str:
    """Write a time in UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _missing(item: Mapping[str, Any]) -> str:
    there = "unknown here" if item["available"] is None else f"{item['available']} there"
    return f"{item['sku']}: {item['requested']} wanted, {there}"


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
