"""All that a run left behind: whole events on the topics, tables, the gateway's books. Nothing of it is interpreted."""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, LiteralString

import orjson
import psycopg

from tests.chaos import avro
from tests.chaos.evidence import digest
from tests.chaos.fleet import End
from tests.chaos.reading import Place, read
from tests.minds.messages import UPSTREAM

DEAD_LETTERS: Final = ".dlt"
Rows = list[tuple[Any, ...]]


def _ours() -> tuple[str, ...]:
    """Name the events that carry `order_version`: nobody but us publishes them."""
    found = []
    for entry in (files("schemas") / "avro").iterdir():
        schema = orjson.loads(entry.read_bytes())
        if any(one["name"] == "order_version" for one in schema["fields"]):
            found.append(str(schema["name"]))
    return tuple(sorted(found))


OURS: Final = _ours()


@dataclass(frozen=True, slots=True)
class Event:
    """An event of ours, as it stands on its topic. fields: all of the body; times in microseconds since 1970."""

    type: str
    fields: dict[str, Any]
    digest: bytes = b""
    place: str = ""

    @property
    def order_id(self) -> str:
        """Its order."""
        return str(self.fields["order_id"])

    @property
    def at(self) -> tuple[int, int]:
        """Its place among all events of its order."""
        return int(self.fields["order_version"]), int(self.fields["ordinal"])

    @property
    def occurred_s(self) -> float:
        """When it happened, Unix seconds."""
        return float(self.fields["occurred_at"]) / 1_000_000


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter. event_id: of its message, empty when it could not be read. digest: of a topic's copy."""

    event_id: str
    reason: str
    where: str = ""
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """What the database says of an order. captured, refunded: of all attempts, minor units."""

    status: str
    review_reason: str | None = None
    captured_minor: int = 0
    refunded_minor: int = 0


@dataclass(frozen=True, slots=True)
class RequestRow:
    """What the database says of a request."""

    order_id: str
    request_id: str
    kind: str
    state: str


@dataclass(slots=True)
class Evidence:
    """events: every message of ours, copies too. stock: by SKU, (put in, available, reserved, sold), units.

    kept: dead letters of the table; letters: of the topics. audit: what `payments audit --json` said.
    left: what was still under way when the wait for rest was over. forgotten: from when to when what the database noted
    was lost with it, Unix seconds.
    """

    events: list[Event] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    kept: list[Letter] = field(default_factory=list)
    orders: dict[str, OrderRow] = field(default_factory=dict)
    requests: list[RequestRow] = field(default_factory=list)
    stock: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    audit: dict[str, Any] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    bugs: list[str] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    harness: list[str] = field(default_factory=list)
    forgotten: tuple[float, float] | None = None


_ORDERS: Final[LiteralString] = """
    SELECT o.order_id, o.status, o.review_reason, coalesce(sum(a.captured_minor), 0)::bigint,
           coalesce(sum(a.refunded_minor), 0)::bigint
    FROM orders o LEFT JOIN attempt a USING (order_number) GROUP BY o.order_number, 1, 2, 3"""
_STOCK: Final[LiteralString] = """
    SELECT s.sku, (SELECT coalesce(sum(delta), 0) FROM stock_adjustment a WHERE a.sku = s.sku)::bigint,
           s.available, s.reserved, s.sold FROM stock s"""
_REQUESTS: Final[LiteralString] = "SELECT order_id, request_id, kind, state FROM order_request"
_LETTERS: Final[LiteralString] = "SELECT topic, partition, message_offset, reason, event_id::text FROM dead_letter"


def gather(
    bootstrap: str, prefix: str, connection: psycopg.Connection[tuple[Any, ...]], ledger: Iterable[Mapping[str, Any]]
) -> Evidence:
    """Read topics, tables and books. ledger: the gateway's payment intents."""
    found = Evidence(ledger=[dict(intent) for intent in ledger])
    ids: dict[tuple[str, int, int], str] = {}
    copies: list[tuple[tuple[str, int, int], str, bytes]] = []
    names = [*UPSTREAM, *OURS, *(name + DEAD_LETTERS for name in UPSTREAM)]
    for message in read(bootstrap, [prefix + name for name in names]):
        name, place = message.topic().removeprefix(prefix), (message.topic(), message.partition())
        if name.endswith(DEAD_LETTERS):
            copies.append(_letter(message))
        elif name in UPSTREAM:
            ids[*place, message.offset()] = avro.decode(name, message.value())["event_id"]
        else:
            found.events.append(_event(name, place, message))
    kept = connection.execute(_LETTERS).fetchall()
    # A topic that was made anew repeats its offsets: the table says which message it was.
    named = {tuple(row[:3]): row[4] for row in kept if row[4] is not None}
    ids |= named
    found.letters = [Letter(ids.get(spot, ""), reason, str(spot), body) for spot, reason, body in copies]
    found.kept = [Letter(ids.get(tuple(row[:3]), ""), row[3], str(row[:3])) for row in kept]
    found.orders = {row[0]: OrderRow(*row[1:]) for row in connection.execute(_ORDERS).fetchall()}
    found.requests = [RequestRow(*row) for row in connection.execute(_REQUESTS).fetchall()]
    found.stock = {row[0]: (row[1], row[2], row[3], row[4]) for row in connection.execute(_STOCK).fetchall()}
    return found


def _event(name: str, place: Place, message: Any) -> Event:
    said = avro.decode(name, message.value())
    return Event(name, said, digest(message.key(), message.value()), f"{place[0]}[{place[1]}]@{message.offset()}")


def _letter(message: Any) -> tuple[tuple[str, int, int], str, bytes]:
    headers = dict(message.headers())
    partition = struct.unpack(">i", headers["kafka_dlt-original-partition"])[0]
    offset = struct.unpack(">q", headers["kafka_dlt-original-offset"])[0]
    topic = headers["kafka_dlt-original-topic"].decode()
    seen = digest(message.key(), message.value())
    return (topic, partition, offset), headers["payments_reason"].decode(), seen
