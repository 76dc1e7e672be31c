"""What operators see of dead letters and of work in quarantine. Bodies are not read: they may hold tokens."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, LiteralString

from outbox.operators.queries import Reading, Record, rows_of

LETTER: Final = "letter"
GIVEN_UP: Final = "given up: "
"""As in outbox.schema.aside_tables, which takes long to load."""
STOCK: Final = "StockAdjusted"
QUARANTINED: Final = "quarantined"
_ORDER_ID: Final[LiteralString] = "coalesce(order_id, CASE WHEN origin = '' THEN encode(key, 'escape') END)"
"""Letters from before 0004 have the key only."""
_LETTER: Final[LiteralString] = f"""
    SELECT id AS number, topic, partition, message_offset AS offset, consumer_group AS group,
           {_ORDER_ID} AS order_id, event_id, reason, detail, first_at AS at, message_at, count,
           waits, behind, redriven_at, erased_at,
           CASE WHEN order_id IS NULL AND topic LIKE '%%{STOCK}' THEN encode(key, 'escape') END AS sku"""
"""sku: of a message about a SKU, which has no order."""
_LETTERS: Final[LiteralString] = f"{_LETTER}, masked AND original IS NULL AS masked FROM dead_letter"
_LETTERS_MASKED: Final[LiteralString] = f"{_LETTER}, masked FROM dead_letter"
"""For who may not read tokens: to them every letter that had one is masked."""
_WORK: Final[LiteralString] = """
    SELECT id AS number, kind, order_id, operation_id, message_id, detail, trace, at, released_at AS redriven_at
      FROM quarantine"""
_LETTER_BOUNDS: Final[Mapping[str, LiteralString]] = {
    "since": "first_at >= %(since)s",
    "until": "first_at <= %(until)s",
    "topic": "topic = %(topic)s",
    "reason": "reason = %(reason)s",
    "order_id": f"{_ORDER_ID} = %(order_id)s",
    "numbers": "id = ANY(%(numbers)s::bigint[])",
    "undone": "redriven_at IS NULL",
}
_WORK_BOUNDS: Final[Mapping[str, LiteralString]] = {
    "since": "at >= %(since)s",
    "until": "at <= %(until)s",
    "order_id": "order_id = %(order_id)s",
    "numbers": "id = ANY(%(numbers)s::bigint[])",
    "undone": "released_at IS NULL",
}
_WAITING: Final[LiteralString] = """
    SELECT order_id, id::text AS name FROM dead_letter WHERE waits AND order_id = ANY(%(order_ids)s)
    UNION ALL
    SELECT order_id, 'Q' || id FROM quarantine WHERE released_at IS NULL AND order_id = ANY(%(order_ids)s)"""
_CARRIED: Final[LiteralString] = """
    SELECT key, coalesce(original, body) AS body, header_names, header_values, erased_at
      FROM dead_letter WHERE id = %s"""
_CARRIED_MASKED: Final[LiteralString] = """
    SELECT key, body, header_names, header_values, erased_at FROM dead_letter WHERE id = %s"""
_MAY_READ_TOKENS: Final[LiteralString] = "SELECT has_column_privilege('dead_letter', 'original', 'SELECT') AS may"
_REDRIVES: Final[LiteralString] = """
    SELECT letter_id, kind, at, by, result FROM redrive WHERE letter_id = ANY(%s) ORDER BY letter_id, id"""


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
    connection: Reading, wanted: Selection, limit: int | None = None, *, oldest: bool = False
) -> list[Record]:
    """Read letters and work in quarantine, newest first. Work has an id such as Q12, and no topic.

    oldest: oldest first, so that a limit leaves out the newest.
    """
    found = [*_letters(connection, wanted, limit, oldest=oldest), *_work(connection, wanted, limit, oldest=oldest)]
    found.sort(key=lambda record: (record["at"], record["number"]), reverse=not oldest)
    return _with_redrives(connection, found[:limit])


def waiting_of(connection: Reading, order_ids: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of letters and work (such as Q12) that these orders have in quarantine, by order."""
    waiting: dict[str, list[str]] = {}
    for row in rows_of(connection, _WAITING, {"order_ids": list(order_ids)}):
        waiting.setdefault(row["order_id"], []).append(row["name"])
    return waiting


def headers_and_bytes(connection: Reading, number: int) -> Record:
    """Read what a letter carried; the masked body for who may not read tokens. The caller hides what nobody may see."""
    (row,) = rows_of(connection, _CARRIED if _reads_tokens(connection) else _CARRIED_MASKED, [number])
    return row


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


def _reads_tokens(connection: Reading) -> bool:
    """Whether this user may read the column with payment tokens. A statement that names it would be refused."""
    (row,) = rows_of(connection, _MAY_READ_TOKENS, ())
    return bool(row["may"])


def _letters(connection: Reading, wanted: Selection, limit: int | None, *, oldest: bool) -> Iterator[Record]:
    wants = _wants(wanted, [name for name in wanted.ids or () if not name.startswith("Q")])
    letters = _LETTERS if _reads_tokens(connection) else _LETTERS_MASKED
    query = _chosen(letters, _LETTER_BOUNDS, wants, "first_at", oldest=oldest)
    for row in rows_of(connection, query, wants | {"limit": limit}):
        yield {**row, "id": row["number"], "kind": LETTER}


def _work(connection: Reading, wanted: Selection, limit: int | None, *, oldest: bool) -> Iterator[Record]:
    if wanted.topic is not None or wanted.reason not in {None, QUARANTINED}:
        return
    wants = _wants(wanted, [name[1:] for name in wanted.ids or () if name.startswith("Q")])
    query = _chosen(_WORK, _WORK_BOUNDS, wants, "at", oldest=oldest)
    nowhere = dict.fromkeys(("topic", "partition", "offset", "group", "event_id", "sku"))
    for row in rows_of(connection, query, wants | {"limit": limit}):
        yield {
            **nowhere,
            **row,
            "id": f"Q{row['number']}",
            "message_at": row["at"],
            "reason": QUARANTINED,
            "count": 1,
            "masked": False,
            "erased_at": None,
            "waits": row["redriven_at"] is None,
            "behind": False,
        }


def _wants(wanted: Selection, names: Sequence[str]) -> dict[str, Any]:
    """Return what is asked for, by the name of its condition. names: the numbers of this kind, if numbers are asked."""
    wants = {name: getattr(wanted, name) for name in ("since", "until", "topic", "reason", "order_id")}
    # All numbers in one parameter: a statement has 65,535 parameters at most.
    wants["numbers"] = None if wanted.ids is None else [int(name) for name in names]
    wants["undone"] = wanted.undone or None
    return wants


def _chosen(
    query: LiteralString,
    bounds: Mapping[str, LiteralString],
    wants: Mapping[str, Any],
    at: LiteralString,
    *,
    oldest: bool,
) -> LiteralString:
    """Add the conditions of what is asked for, and the order by the column `at`. LIMIT NULL is none."""
    conditions = [text for name, text in bounds.items() if wants[name] is not None]
    where: LiteralString = " WHERE " + " AND ".join(conditions) if conditions else ""
    direction: LiteralString = "ASC" if oldest else "DESC"
    return query + where + f" ORDER BY {at} {direction}, id {direction} LIMIT %(limit)s"


def _with_redrives(connection: Reading, records: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Add who redrove each of them, when, and with what result."""
    numbers = {record["number"] for record in records}
    rows = rows_of(connection, _REDRIVES, [sorted(numbers)])
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
