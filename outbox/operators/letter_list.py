"""What operators see of dead letters and of work in quarantine. Bodies are not read: they may hold tokens."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import eq, ge, itemgetter, le
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from outbox.operators.queries import Record
from outbox.schema.aside_tables import GIVEN_UP, dead_letters, quarantines, redrives
from schemas.events import StockAdjusted
from schemas.rejection import Reason

LETTER: Final = "letter"
_L, _Q, _R = dead_letters.c, quarantines.c, redrives.c
_OLD_KEY: Final = sa.case((_L.origin == b"", sa.func.encode(_L.key, "escape")))
ORDER_ID: Final = sa.func.coalesce(_L.order_id, _OLD_KEY).label("order_id")
"""Letters from before 0004 have the key only."""
_OF_STOCK: Final = sa.and_(_L.order_id.is_(None), _L.topic.endswith(StockAdjusted.TYPE, autoescape=True))
_SKU: Final = sa.case((_OF_STOCK, sa.func.encode(_L.key, "escape"))).label("sku")
"""Of a message about a SKU, which has no order."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant; None means all. topic: with its prefix. ids: `17`, or `Q12` for work.

    since, until: the time of the first refusal, both included. undone: only those that still wait for a redrive.
    """

    topic: str | None = None
    reason: str | None = None
    order_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: Sequence[str] | None = None
    undone: bool = False


def letter_list(
    connection: sa.Connection, wanted: Selection, limit: int | None = None, *, oldest: bool = False
) -> list[Record]:
    """Read letters and work in quarantine, newest first. Work has an id such as Q12, and no topic.

    oldest: oldest first, so that a limit leaves out the newest.
    """
    found = [*_letters(connection, wanted, limit, oldest=oldest), *_work(connection, wanted, limit, oldest=oldest)]
    found.sort(key=lambda record: (record["at"], record["number"]), reverse=not oldest)
    return _with_redrives(connection, found[:limit])


def waiting_of(connection: sa.Connection, order_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of letters and work (such as Q12) that these orders have in quarantine, by order."""
    letters = sa.select(_L.order_id, sa.cast(_L.id, sa.Text)).where(_L.waits, _L.order_id == _any_text(order_ids))
    work = sa.select(_Q.order_id, "Q" + sa.cast(_Q.id, sa.Text)).where(
        _Q.released_at.is_(None), _Q.order_id == _any_text(order_ids)
    )
    waiting: dict[str, list[str]] = {}
    for order_id, name in connection.execute(sa.union_all(letters, work)):
        waiting.setdefault(order_id, []).append(name)
    return waiting


def headers_and_bytes(connection: sa.Connection, number: int) -> Record:
    """Read what a letter carried; the masked body for who may not read tokens. The caller hides what nobody may see."""
    body = sa.func.coalesce(_L.original, _L.body).label("body") if _reads_tokens(connection) else _L.body
    columns = (_L.key, body, _L.header_names, _L.header_values, _L.erased_at)
    (row,) = connection.execute(sa.select(*columns).where(_L.id == number)).mappings()
    return dict(row)


def in_order(records: Sequence[Record]) -> list[list[Record]]:
    """Sort for redriving: group the letters by order, each group as its messages came.

    Letters in quarantine are in the order in which they were put there; others are in the order of their offsets in
    each partition. These sequences are merged by the times of the messages.
    """
    by_order: dict[Any, list[Record]] = {}
    for record in sorted(records, key=itemgetter("at", "number")):
        by_order.setdefault(record["order_id"] or record["id"], []).append(record)
    return [list(_as_they_came(of_one)) for of_one in by_order.values()]


def _as_they_came(records: Sequence[Record]) -> Iterator[Record]:
    rows: dict[Any, list[Record]] = {}
    for record in records:
        rows.setdefault(None if record["waits"] else (record["topic"], record["partition"]), []).append(record)
    for place, of_place in rows.items():
        if place is not None:
            of_place.sort(key=itemgetter("offset"))
    return merge(*rows.values(), key=itemgetter("message_at"))


def _reads_tokens(connection: sa.Connection) -> bool:
    """Whether this user may read the column with payment tokens. A statement that names it would be refused."""
    question = sa.func.has_column_privilege(dead_letters.name, _L.original.name, "SELECT")
    return bool(connection.execute(sa.select(question)).scalar_one())


def _letters(connection: sa.Connection, wanted: Selection, limit: int | None, *, oldest: bool) -> Iterator[Record]:
    # To whom may not read tokens, every letter that had one is masked.
    gone = _L.original.is_(None) if _reads_tokens(connection) else sa.true()
    query = sa.select(
        _L.id.label("number"),
        _L.topic,
        _L.partition,
        _L.message_offset.label("offset"),
        _L.consumer_group.label("group"),
        ORDER_ID,
        _L.event_id,
        _L.reason,
        _L.detail,
        _L.first_at.label("at"),
        _L.message_at,
        _L.count,
        sa.and_(_L.masked, gone).label("masked"),
        _L.waits,
        _L.behind,
        _L.redriven_at,
        _L.erased_at,
        _SKU,
    )
    ids = None if wanted.ids is None else _any([int(name) for name in wanted.ids if not name.startswith("Q")])
    equal = ((_L.topic, wanted.topic), (_L.reason, wanted.reason), (ORDER_ID, wanted.order_id), (_L.id, ids))
    query = _chosen(query, wanted, equal, (_L.first_at, _L.id), _L.redriven_at, oldest=oldest).limit(limit)
    for row in connection.execute(query).mappings():
        yield {**row, "id": row["number"], "kind": LETTER}


def _work(connection: sa.Connection, wanted: Selection, limit: int | None, *, oldest: bool) -> Iterator[Record]:
    if wanted.topic is not None or wanted.reason not in {None, Reason.QUARANTINED.value}:
        return
    query = sa.select(
        _Q.id.label("number"),
        _Q.kind,
        _Q.order_id,
        _Q.operation_id,
        _Q.message_id,
        _Q.detail,
        _Q.trace,
        _Q.at,
        _Q.released_at.label("redriven_at"),
    )
    ids = None if wanted.ids is None else _any([int(name[1:]) for name in wanted.ids if name.startswith("Q")])
    equal = ((_Q.order_id, wanted.order_id), (_Q.id, ids))
    query = _chosen(query, wanted, equal, (_Q.at, _Q.id), _Q.released_at, oldest=oldest).limit(limit)
    nowhere = dict.fromkeys(("topic", "partition", "offset", "group", "event_id", "sku"))
    for row in connection.execute(query).mappings():
        yield {
            **nowhere,
            **row,
            "id": f"Q{row['number']}",
            "message_at": row["at"],
            "reason": Reason.QUARANTINED.value,
            "count": 1,
            "masked": False,
            "erased_at": None,
            "waits": row["redriven_at"] is None,
            "behind": False,
        }


def _chosen(
    query: sa.Select[Any],
    wanted: Selection,
    equal: Sequence[tuple[sa.ColumnElement[Any], Any]],
    by: tuple[sa.Column[Any], sa.Column[Any]],
    done: sa.Column[Any],
    *,
    oldest: bool,
) -> sa.Select[Any]:
    """Add the conditions of `wanted` and the order. equal: columns with the values they must have, if any is given."""
    bounds = ((by[0], ge, wanted.since), (by[0], le, wanted.until), *((column, eq, value) for column, value in equal))
    query = query.where(*(compare(column, value) for column, compare, value in bounds if value is not None))
    query = query.where(done.is_(None)) if wanted.undone else query
    return query.order_by(*(column.asc() if oldest else column.desc() for column in by))


def _any(numbers: Collection[int]) -> sa.CollectionAggregate[bool]:
    """Pass all numbers in one parameter: a statement has 65,535 parameters at most."""
    return sa.any_(sa.cast(list(numbers), ARRAY(sa.BigInteger)))


def _any_text(texts: Collection[str]) -> sa.CollectionAggregate[bool]:
    return sa.any_(sa.cast(list(texts), ARRAY(sa.Text)))


def _with_redrives(connection: sa.Connection, records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Add who redrove each of them, when, and with what result."""
    numbers = {record["number"] for record in records}
    query = sa.select(redrives).where(_R.letter_id == _any(numbers)).order_by(_R.letter_id, _R.id)
    rows = connection.execute(query).mappings().all()
    of_number = {number: list(group) for number, group in groupby(rows, key=itemgetter("letter_id"))}
    return [
        {
            **record,
            "redriven": history,
            "given_up": record["kind"] == LETTER and any(each["result"].startswith(GIVEN_UP) for each in history),
        }
        for record in records
        for history in [_redrives_of(record, of_number.get(record["number"], ()))]
    ]


def _redrives_of(record: Mapping[str, Any], rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"at": row["at"], "by": row["by"], "result": row["result"]}
        for row in rows
        if (row["kind"] == LETTER) is (record["kind"] == LETTER)
    ]
