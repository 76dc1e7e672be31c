"""All that a run left behind: what stands on the topics, in the database and in the gateway's books."""

import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, LiteralString

import psycopg

from schemas.topics import CONSUMED, TOPICS
from tests.chaos import avro
from tests.chaos.faults.scene import Stretch
from tests.chaos.messages import ORDER, RETRY
from tests.chaos.reading import Place, read

UPSTREAM: Final = (ORDER, RETRY)
OURS: Final = tuple(event_type for event_type, topic in TOPICS.items() if topic.ours)
DEAD_LETTERS: Final = ".dlt"
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Fact:
    """One message of ours on its topic. code: the failure's or the review's; kind: a notification's. at: Unix s."""

    event_type: str
    place: Place
    offset: int
    at: float
    order_id: str
    event_id: str
    version: int
    ordinal: int
    attempt: int
    code: str
    kind: str
    amount_minor: int | None
    currency: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """One message of upstream on its topic; digest: of its key and body."""

    place: Place
    offset: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, by the coordinates of what it speaks of."""

    place: Place
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What the database says of an order."""

    status: str
    attempt: int
    review_reason: str | None


@dataclass(slots=True)
class Evidence:
    """facts, said: per partition in order. letters: of the topics; kept: of the table. Amounts are minor units.

    attempts: by (order id, number), what was captured and refunded. stock: by SKU, (put in, available, reserved, sold).
    journal: ids of all events of ours that were ever decided. ledger: the gateway's payment intents.
    redriven: the letter and what came of it, of every redrive.
    """

    facts: list[Fact] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    kept: list[Letter] = field(default_factory=list)
    orders: dict[str, OrderRow] = field(default_factory=dict)
    attempts: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    stock: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    journal: set[str] = field(default_factory=set)
    outbox: int = 0
    unfinished: Rows = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    redriven: list[tuple[int, str]] = field(default_factory=list)


def digest(key: bytes | None, value: bytes | None) -> bytes:
    """Return what tells messages apart."""
    return blake2b(repr((key, value)).encode(), digest_size=16).digest()


def gather(
    bootstrap: str,
    prefix: str,
    connection: psycopg.Connection[tuple[Any, ...]],
    ledger: Iterable[Mapping[str, Any]],
    stretches: Collection[Stretch] = (),
) -> Evidence:
    """Read everything. ledger: the gateway's payment intents, the newest first."""
    found = Evidence(ledger=[dict(intent) for intent in ledger])
    names = [*UPSTREAM, *OURS, *(event + DEAD_LETTERS for event in CONSUMED)]
    for message in read(bootstrap, [prefix + name for name in names], stretches):
        _sort(found, prefix, message)
    _ask(found, connection)
    return found


def _sort(found: Evidence, prefix: str, message: Any) -> None:
    name, place = message.topic().removeprefix(prefix), (message.topic(), message.partition())
    if name.endswith(DEAD_LETTERS):
        found.letters.append(_letter(message))
    elif name in UPSTREAM:
        found.said.append(Said(place, message.offset(), digest(message.key(), message.value())))
    else:
        found.facts.append(_fact(name, place, message))


def _fact(event_type: str, place: Place, message: Any) -> Fact:
    said = avro.decode(event_type, message.value())
    return Fact(
        event_type,
        place,
        message.offset(),
        message.timestamp()[1] / 1000,
        said["order_id"],
        said["event_id"],
        said["order_version"],
        said["ordinal"],
        said.get("attempt", 0),
        str(said.get("failure_code") or said.get("reason") or ""),
        str(said.get("kind") or ""),
        said.get("amount_minor"),
        str(said.get("currency") or ""),
        digest(message.key(), message.value()),
    )


def _letter(message: Any) -> Letter:
    headers = dict(message.headers())
    partition = struct.unpack(">i", headers["kafka_dlt-original-partition"])[0]
    offset = struct.unpack(">q", headers["kafka_dlt-original-offset"])[0]
    topic = headers["kafka_dlt-original-topic"].decode()
    return Letter((topic, partition), offset, headers["payments_reason"].decode())


_ORDERS: Final[LiteralString] = "SELECT order_id, status, attempt, review_reason FROM orders"
_ATTEMPTS: Final[LiteralString] = "SELECT order_id, attempt, captured_minor, refunded_minor FROM attempt"
_STOCK: Final[LiteralString] = """
    SELECT s.sku, (SELECT coalesce(sum(delta), 0) FROM stock_adjustment a WHERE a.sku = s.sku)::bigint,
           s.available, s.reserved, s.sold FROM stock s"""
_LETTERS: Final[LiteralString] = "SELECT topic, partition, message_offset, reason FROM dead_letter"
_JOURNAL: Final[LiteralString] = "SELECT event_id::text FROM event WHERE order_version > 0"
_REDRIVEN: Final[LiteralString] = "SELECT letter_id, result FROM redrive WHERE kind = 'letter' ORDER BY id"
_OUTBOX: Final[LiteralString] = "SELECT count(*) FROM outbox"
_UNFINISHED: Final[LiteralString] = """
    SELECT order_id, attempt, kind, state, tries FROM operation WHERE state IN ('open', 'pending', 'unknown')"""


def _ask(found: Evidence, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Read the tables."""

    def rows(query: LiteralString) -> Rows:
        return connection.execute(query).fetchall()

    found.orders = {row[0]: OrderRow(*row[1:]) for row in rows(_ORDERS)}
    found.attempts = {(row[0], row[1]): (row[2], row[3]) for row in rows(_ATTEMPTS)}
    found.stock = {row[0]: (row[1], row[2], row[3], row[4]) for row in rows(_STOCK)}
    found.kept = [Letter((row[0], row[1]), row[2], row[3]) for row in rows(_LETTERS)]
    found.journal = {row[0] for row in rows(_JOURNAL)}
    found.redriven = [(row[0], row[1]) for row in rows(_REDRIVEN)]
    found.outbox = rows(_OUTBOX)[0][0]
    found.unfinished = rows(_UNFINISHED)
