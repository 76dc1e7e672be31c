"""`python -m tests.bench.pressure.looks`: what the sweep's looks touch while ever more has ended under a snapshot.

PostgreSQL alone, and the statements of this module, each beside the one of before. Pages do not depend on what else
runs on the machine; the CPU time of the server's process hardly does.
"""

from collections.abc import Sequence
from typing import Any, Final, LiteralString

import click
import psycopg

from domain.pending import AT_CUSTOMER
from outbox.driver.connections import HOT_OPTIONS
from outbox.schema.mapping import BESIDE, ONE_AT_A_TIME
from outbox.store import messages, questions, statements
from outbox.store.reach import EVER, LATE, LOWEST, OLD_MOST, below
from tests.bench.pressure.rows import Connection, Meter, held, on_fresh, server_alone, show

ENDED: Final = (5_000, 25_000, 100_000)
"""Orders, each with two operations that ended under the snapshot."""
PORTION: Final = 250
"""Of them in a transaction."""
REPEATS: Final = 10
DELAYED_BEFORE: Final[LiteralString] = f"""
    SELECT o.order_id
      FROM (SELECT * FROM operation WHERE {ONE_AT_A_TIME} AND kind <> 'refund'
            UNION ALL
            SELECT * FROM operation WHERE ({BESIDE}) AND kind = 'extend') p
           JOIN orders o ON o.order_id = p.order_id
     WHERE p.opened_at <= now() - make_interval(secs => %s)
       AND (p.detail IS DISTINCT FROM '{AT_CUSTOMER}'
            OR NOT EXISTS (SELECT FROM attempt a
                            WHERE a.order_number = p.order_number AND a.attempt = p.attempt
                              AND a.action_expires_at > now() - make_interval(secs => %s)))
       AND NOT o.delay_notified
       AND o.status NOT IN ('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')
       AND NOT EXISTS (SELECT FROM quarantine q
                        WHERE q.order_id = o.order_id AND q.released_at IS NULL AND q.kind = 'order')
     ORDER BY p.opened_at LIMIT %s"""
_OPEN: Final[LiteralString] = """
    INSERT INTO operation (order_number, order_id, attempt, kind, try_number, for_request, operation_id, reaction,
                           amount_minor, currency, opened_at, state, tries, due_at, replayed)
    SELECT n, gen_random_uuid()::text, 1, %s, 1, '', gen_random_uuid(), 'authorize_payment', 2440, 'EUR', now(),
           'open', 0, 'infinity', false FROM generate_series(%s::bigint, %s) n"""
_END: Final[LiteralString] = """
    UPDATE operation SET state = 'approved', due_at = NULL, settled_at = now(), transaction_id = operation_id,
           request_id = operation_id
     WHERE order_number BETWEEN %s AND %s AND kind = %s"""
_MESSAGES: Final[LiteralString] = """
    INSERT INTO message (event_id, order_id, customer_id, kind, text, amount_minor, currency, money, retryable,
                         occurred_at, send_until, state, tries, due_at)
    SELECT gen_random_uuid(), gen_random_uuid()::text, 'c-7', 'PAID_AND_CONFIRMED', '', 2440, 'EUR', 'TAKEN', false,
           now(), now(), 'waiting', 0, now() FROM generate_series(1, %s)"""
_SENT: Final[LiteralString] = """
    UPDATE message SET state = 'sent', due_at = NULL, settled_at = now() WHERE due_at IS NOT NULL"""
_CLAIM: Final = statements.claim_due(statements.FROM_NUMBER)
_LOOK: Final = statements.unfinished_below(statements.FROM_NUMBER)


def end_orders(connection: Connection, first: int, last: int) -> None:
    """Have two operations of each of these orders begin and end, as those of orders under way do."""
    for start in range(first, last + 1, PORTION):
        for kind in ("authorize", "capture"):
            connection.execute(_OPEN, [kind, start, start + PORTION - 1])
            connection.execute(_END, [start, start + PORTION - 1, kind])


def looks(url: str) -> list[tuple[str, ...]]:
    """End ever more orders under a snapshot; return how many, and pages and milliseconds of each look."""
    found = []
    with psycopg.connect(url, autocommit=True, options=HOT_OPTIONS) as connection, held(url):
        meter = Meter(connection, "operation")
        gone = 0
        for orders in ENDED:
            end_orders(connection, gone + 1, orders)
            gone = orders
            upto = below(orders)
            asked: Sequence[tuple[LiteralString, Sequence[Any]]] = (
                (_CLAIM, [LOWEST, 60, 500, 60]),
                (_CLAIM, [upto, 60, 500, 60]),
                (_LOOK, [LOWEST, upto, OLD_MOST + 1]),
                (DELAYED_BEFORE, [30, 30, 500]),
                (questions.DELAYED_ORDERS, [30, 30, 500]),
            )
            found.append((f"{orders:,}", *(_cost(meter, connection, *one) for one in asked)))
    return found


def message_looks(url: str) -> list[tuple[str, ...]]:
    """Send ever more messages under a snapshot; return how many, and what a claim costs without and with a floor."""
    found = []
    with psycopg.connect(url, autocommit=True, options=HOT_OPTIONS) as connection, held(url):
        meter = Meter(connection, "message")
        gone = 0
        for count in ENDED:
            for _ in range(gone, count, PORTION):
                connection.execute(_MESSAGES, [PORTION])
                connection.execute("UPDATE message SET due_at = now() + interval '1 s' WHERE due_at IS NOT NULL")
                connection.execute(_SENT)
            gone = count
            ((now,),) = connection.execute("SELECT now()").fetchall()
            costs = [_cost(meter, connection, messages._CLAIM, [since, 16, 60]) for since in (EVER, now - LATE)]
            found.append((f"{count:,}", *costs))
    return found


def _cost(meter: Meter, connection: Connection, query: LiteralString, values: Sequence[Any]) -> str:
    connection.execute(query, values)
    pages, cpu_s = meter.read()
    for _ in range(REPEATS):
        assert connection.execute(query, values).fetchall() == []
    pages_after, cpu_after_s = meter.read()
    return f"{(pages_after - pages) / REPEATS:,.0f} pages, {1000 * (cpu_after_s - cpu_s) / REPEATS:.0f} ms"


@click.command()
def main() -> None:
    """Show what the sweep's looks touch, and what CPU they take, while a snapshot is held."""
    heads = ("orders that ended", "claim, all", "from the floor", "look for it", "slow payments, before", "now")
    show(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    with server_alone() as server_url:
        for row in on_fresh(server_url, looks):
            show(f"| {' | '.join(row)} |")
        show("\n| messages that were sent | claim, all | from the floor |\n|---|---|---|")
        for row in on_fresh(server_url, message_looks):
            show(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
