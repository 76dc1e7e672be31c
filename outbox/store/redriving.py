"""Redrives of dead letters and quarantined work, with who did them, when, and the result.

Everything happens under the lock of the letter's row. So the second of two operators sees what the first did.
"""

from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

from domain.ids import OrderId
from outbox.schema.aside_tables import GIVEN_UP
from outbox.store.statements import WAKE
from outbox.store.transaction import PgTransaction
from schemas.rejection import Reason

_LETTER: Final[LiteralString] = """
    SELECT id, consumer_group, topic, partition, message_offset, key, coalesce(original, body), header_names,
           header_values, masked, reason, order_id,
           own_inbox OR (origin = '' AND reason IN ('conflict', 'unknown_order', 'illegal_transition')),
           redriven_at IS NOT NULL, first_at, waits, erased_at
      FROM dead_letter WHERE id = %s FOR UPDATE"""
"""Letters from before 0004 do not have own_inbox: a message that a decision refused has an inbox row of its own."""
_GIVEN_UP: Final[LiteralString] = """
    SELECT 1 FROM redrive WHERE letter_id = %s AND kind = 'letter' AND starts_with(result, %s)"""
_AHEAD: Final[LiteralString] = """
    SELECT kind || id FROM (
      SELECT id, first_at AS at, '' AS kind FROM dead_letter WHERE waits AND order_id = %s AND id < %s
      UNION ALL
      SELECT id, at, 'Q' FROM quarantine WHERE released_at IS NULL AND order_id = %s AND at < %s) ahead
     ORDER BY at, id LIMIT 1"""
_DONE: Final[LiteralString] = """
    UPDATE dead_letter
       SET redriven_at = now(), waits = false, original = NULL,
           erased_at = CASE WHEN original IS NULL THEN erased_at ELSE now() END
     WHERE id = %s"""
_BACK: Final[LiteralString] = """
    UPDATE dead_letter
       SET count = count + 1, reason = %s, detail = %s, waits = waits AND %s, own_inbox = own_inbox OR %s
     WHERE id = %s"""
_NOTE: Final[LiteralString] = 'INSERT INTO redrive (letter_id, kind, "by", result) VALUES (%s, %s, %s, %s)'
_WORK: Final[LiteralString] = """
    SELECT id, kind, order_id, operation_id, released_at IS NOT NULL FROM quarantine WHERE id = %s FOR UPDATE"""
_RELEASE: Final[LiteralString] = "UPDATE quarantine SET released_at = now() WHERE id = %s"
_DUE: Final[LiteralString] = """
    WITH due AS (
      UPDATE operation p SET due_at = now()
        FROM orders o
       WHERE o.order_id = %s AND p.order_number = o.order_number AND p.operation_id = %s
         AND p.state IN ('open', 'pending', 'unknown')
      RETURNING p.order_number)
    UPDATE orders SET updated_at = now() WHERE order_id = %s AND EXISTS (SELECT FROM due) RETURNING order_id"""


class KeptLetter(NamedTuple):
    """A locked dead letter. at: when it was first refused. redriven: processed or given up.

    body: with its payment token, until that was erased (erased_at).
    """

    id: int
    group: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    body: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    masked: bool
    reason: Reason
    order_id: OrderId | None
    own_inbox: bool
    redriven: bool
    at: Any
    waits: bool
    erased_at: datetime | None
    given_up: bool


class KeptWork(NamedTuple):
    """Locked work in quarantine."""

    id: int
    kind: str
    order_id: OrderId | None
    operation_id: Any
    released: bool


async def lock_letter(transaction: PgTransaction, letter_id: int) -> KeptLetter | None:
    """Lock this letter, waiting for others, and read it; None if there is none."""
    rows = await transaction.query(_LETTER, [letter_id])
    if not rows:
        return None
    number, group, topic, partition, offset, key, body, names, values, masked, reason, *rest = rows[0]
    headers = tuple(zip(names, values, strict=True))
    place = (number, group, topic, partition, offset)
    # A second statement: the one that waited for the lock does not see what its last holder wrote to other rows.
    given_up = bool(await transaction.query(_GIVEN_UP, [letter_id, GIVEN_UP]))
    return KeptLetter._make((*place, key, body, headers, masked, Reason(reason), *rest, given_up))


async def ahead_of(transaction: PgTransaction, letter: KeptLetter) -> str | None:
    """Return the id of the oldest entry of the letter's order that must be redriven before it."""
    if letter.order_id is None:
        return None
    rows = await transaction.query(_AHEAD, [letter.order_id, letter.id, letter.order_id, letter.at])
    return rows[0][0] if rows else None


async def settle_letter(transaction: PgTransaction, letter_id: int, by: str, result: str) -> None:
    """Record that the letter was processed or given up. Nobody redrives it again; later messages may go on."""
    await transaction.execute(_DONE, [letter_id])
    await transaction.execute(_NOTE, [letter_id, "letter", by, result])


async def give_up_letter(transaction: PgTransaction, letter_id: int, by: str, reason: str) -> str:
    """Record that nobody will redrive the letter; return the recorded result."""
    result = f"{GIVEN_UP}{reason}"
    await settle_letter(transaction, letter_id, by, result)
    return result


async def keep_letter(
    transaction: PgTransaction,
    letter_id: int,
    reason: Reason,
    detail: str,
    by: str,
    result: str,
    *,
    own_inbox: bool = False,
) -> None:
    """Record that the letter was refused again. If it raised again, later messages still wait for it."""
    raised = reason is Reason.QUARANTINED
    await transaction.execute(_BACK, [reason.value, detail, raised, own_inbox, letter_id])
    await transaction.execute(_NOTE, [letter_id, "letter", by, result])


async def lock_work(transaction: PgTransaction, number: int) -> KeptWork | None:
    """Lock work in quarantine and read it; None if there is none."""
    rows = await transaction.query(_WORK, [number])
    return KeptWork(*rows[0]) if rows else None


async def release_work(transaction: PgTransaction, work: KeptWork, by: str) -> str:
    """Release it: an operation is due at once, the sweep takes an order again, the relay a message. Return the result.

    The order must be locked.
    """
    if work.kind == "operation":
        due = await transaction.query(_DUE, [work.order_id, work.operation_id, work.order_id])
        result = "released: the sweep asks the gateway again" if due else "no effect: the operation has its outcome"
    elif work.kind == "order":
        result = "released: the sweep takes the order up again"
    else:
        result = "released: the relay sends the message"
        await transaction.execute(WAKE)
    await transaction.execute(_RELEASE, [work.id])
    await transaction.execute(_NOTE, [work.id, work.kind, by, result])
    return result
