"""Tables, binary parameters and COPY: everything that is sent to PostgreSQL is encoded by hand."""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from tests.bench.peers import common
from tests.bench.peers.limit.settings import PG_OPTIONS

DDL = """
CREATE TABLE operation(order_id uuid, attempt int2, kind int2, state int2 NOT NULL, ref text,
  PRIMARY KEY(order_id, attempt, kind)) WITH (fillfactor = 80);
CREATE TABLE notification(event_id uuid PRIMARY KEY, order_id uuid NOT NULL, reason text NOT NULL);
CREATE TABLE inbox(consumer int2, event_id uuid, PRIMARY KEY(consumer, event_id));
CREATE TABLE outbox(id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY, topic int2 NOT NULL,
  key bytea NOT NULL, value bytea NOT NULL)
  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE outbox ALTER value SET STORAGE EXTERNAL;
ALTER TABLE orders ALTER body SET STORAGE EXTERNAL;
"""
I2, I4, I8 = Struct("!h").pack, Struct("!i").pack, Struct("!q").pack
_HEAD = Struct("!iiiii").pack

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]


class Param:
    """A parameter that is encoded already."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Uuids(Param): ...


class Texts(Param): ...


class Shorts(Param): ...


class Bigs(Param): ...


class _AsItIs(Dumper):
    format = Format.BINARY

    def dump(self, obj: Param) -> bytes:
        return obj.data


class _Uuids(_AsItIs):
    oid = 2951


class _Texts(_AsItIs):
    oid = 1009


class _Shorts(_AsItIs):
    oid = 1005


class _Bigs(_AsItIs):
    oid = 1016


def uuids(ids: Sequence[bytes]) -> Uuids:
    """Make a uuid[] of 16 raw bytes each."""
    return Uuids(_HEAD(1, 0, 2950, len(ids), 1) + b"".join([b"\0\0\0\x10" + i for i in ids]))


def texts(values: Sequence[bytes | None]) -> Texts:
    """Make a text[] with nulls."""
    parts = [b"\xff\xff\xff\xff" if x is None else I4(len(x)) + x for x in values]
    return Texts(_HEAD(1, 1, 25, len(values), 1) + b"".join(parts))


def shorts(values: Sequence[int]) -> Shorts:
    """Make an int2[]."""
    return Shorts(_HEAD(1, 0, 21, len(values), 1) + b"".join([b"\0\0\0\x02" + I2(x) for x in values]))


def bigs(values: Sequence[int]) -> Bigs:
    """Make an int8[]."""
    return Bigs(_HEAD(1, 0, 20, len(values), 1) + b"".join([b"\0\0\0\x08" + I8(x) for x in values]))


def connect() -> Connection:
    """Connect with the planner's options and the parameters above."""
    connection: Connection = psycopg.connect(common.DSN, prepare_threshold=0, options=PG_OPTIONS)
    for cls, dumper in ((Uuids, _Uuids), (Texts, _Texts), (Shorts, _Shorts), (Bigs, _Bigs)):
        connection.adapters.register_dumper(cls, dumper)
    return connection


def status_is(status: str) -> str:
    """Write `o.status = status` so that no plan begins with it.

    As a plain comparison the planner, without statistics, expects hardly a row and puts orders outside of the join:
    quadratic.
    """
    return f"CASE WHEN o.status = '{status}' THEN true ELSE false END"


def copy(cursor: Cursor, target: str, rows: Iterable[bytes]) -> None:
    """COPY rows that are encoded already."""
    with cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)") as stream:
        stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"".join(rows) + b"\xff\xff")
