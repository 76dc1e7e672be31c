"""Claims operations that are due, without a walk over all that ended while a snapshot is held: see reach.py."""

from collections.abc import Sequence
from typing import Any, Final, LiteralString, NamedTuple

from psycopg.types.numeric import Int8

from outbox.driver.batches import Row
from outbox.driver.binary import ARRAYS
from outbox.driver.connections import PRELUDE
from outbox.driver.exchange import Asked, Exchange
from outbox.driver.session import Session
from outbox.store import statements
from outbox.store.reach import OLD_MOST, Bounds, Reach, below


class _Forms(NamedTuple):
    """One statement in two forms: about orders from a number on, and about those with certain numbers."""

    beginning: LiteralString
    named: LiteralString


_GATEWAY: Final = _Forms(*map(statements.claim_due, (statements.FROM_NUMBER, statements.OF_NUMBERS)))
_INVENTORY: Final = _Forms(*map(statements.claim_stock_calls, (statements.FROM_NUMBER, statements.OF_NUMBERS)))
_UNFINISHED: Final = _Forms(*map(statements.unfinished_below, (statements.FROM_NUMBER, statements.OF_NUMBERS)))


async def claim_due(session: Session, reach: Reach, limit: int, lease_s: float, now: float) -> list[Row]:
    """Claim at the gateway; return at most so many operations with their tokens. Ends its transactions.

    now: of the reach's clock.
    """
    return await _claim(session, reach, _GATEWAY, [lease_s], limit, lease_s, now)


async def claim_stock_calls(session: Session, reach: Reach, limit: int, lease_s: float, now: float) -> list[Row]:
    """Claim at an inventory elsewhere, likewise."""
    return await _claim(session, reach, _INVENTORY, [], limit, lease_s, now)


async def _claim(
    session: Session, reach: Reach, forms: _Forms, values: Sequence[Any], limit: int, lease_s: float, now: float
) -> list[Row]:
    bounds = reach.look_from(now)
    if bounds is not None:
        await _look(session, reach, bounds, now)
    first, old = reach.bounds
    exchange = _begin(session)
    before = exchange.add(touched("operation"))
    rows: list[Row] = []
    if old:
        # Both in one transaction: what is claimed is known to the caller, or not claimed.
        named = exchange.add(forms.named, [ARRAYS["number"](old), *values, limit, lease_s])
        await exchange.send()
        rows += named.rows
    if len(rows) < limit:
        rest = exchange.add(forms.beginning, [Int8(first), *values, limit - len(rows), lease_s])
        after = exchange.add(touched("operation"))
        await exchange.send(commit=True)
        rows += rest.rows
        reach.note_claimed(len(rows), pages_between(before, after))
    else:
        await exchange.send(commit=True)
    return rows


async def _look(session: Session, reach: Reach, bounds: Bounds, now: float) -> None:
    """Raise the floor, or find that none is needed. Locks nothing."""
    exchange = _begin(session)
    found = exchange.add(statements.NEWEST_NUMBER)
    await exchange.send()
    newest = int(found.rows[0][0]) if found.rows else 0
    upto = Int8(below(newest))
    before = exchange.add(touched("operation"))
    looks = [exchange.add(_UNFINISHED.beginning, [Int8(bounds.first), upto, OLD_MOST + 1])]
    if bounds.old:
        looks.append(exchange.add(_UNFINISHED.named, [ARRAYS["number"](bounds.old), upto, OLD_MOST + 1]))
    after = exchange.add(touched("operation"))
    await exchange.send(commit=True)
    unfinished = sorted(int(row[0]) for look in looks for row in look.rows)
    reach.note_looked(bounds, newest, unfinished, pages_between(before, after), now)


def _begin(session: Session) -> Exchange:
    exchange = Exchange(session)
    if session.pooled:
        exchange.add(PRELUDE)
    return exchange


def touched(table: LiteralString) -> LiteralString:
    """Make the question how many pages of a table this session has touched; two in a transaction tell a difference."""
    return f"SELECT pg_stat_get_xact_blocks_fetched('{table}'::regclass)"


def pages_between(before: Asked, after: Asked) -> int:
    """Return the difference of two answers."""
    return int(after.rows[0][0]) - int(before.rows[0][0])
