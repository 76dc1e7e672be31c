"""Invariant 4: for each SKU, the units put in are available, held or sold. What was restocked is sold no more.

Holds of an inventory elsewhere (their reserve is an operation with a row) are none of our stock: see goods.py.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, LiteralString

from outbox.audit.books import Books

SKUS: Final[LiteralString] = "SELECT count(*) FROM stock"
WRONG: Final[LiteralString] = """
    WITH put AS (SELECT sku, sum(delta) AS units FROM stock_adjustment GROUP BY sku),
    lines AS (
      SELECT line ->> 0 AS sku, r.state, sum((line ->> 1)::bigint) AS units
        FROM reservation r JOIN orders o USING (order_id) CROSS JOIN jsonb_array_elements(o.lines) AS line
       WHERE r.state IN ('held', 'sold')
         AND NOT EXISTS (SELECT FROM operation p WHERE p.order_number = r.order_number AND p.attempt = r.attempt
                                                   AND p.kind = 'reserve')
       GROUP BY 1, 2),
     back AS (
       SELECT line ->> 0 AS sku, sum((line ->> 1)::bigint) AS units
         FROM order_request q CROSS JOIN jsonb_array_elements(q.lines) AS line
        WHERE q.kind = 'refund' AND q.taken_at IS NOT NULL
          AND EXISTS (SELECT FROM reservation r
                       WHERE r.order_number = q.order_number AND r.state = 'sold'
                         AND NOT EXISTS (SELECT FROM operation p
                                          WHERE p.order_number = r.order_number AND p.attempt = r.attempt
                                            AND p.kind = 'reserve'))
        GROUP BY 1),
    held AS (SELECT sku, units FROM lines WHERE state = 'held'),
    gone AS (SELECT sku, l.units - coalesce(b.units, 0) AS units
               FROM lines l LEFT JOIN back b USING (sku) WHERE state = 'sold'),
    every AS (
      SELECT sku, s.available, s.reserved, s.sold, coalesce(put.units, 0) AS put,
             coalesce(held.units, 0) AS held, coalesce(gone.units, 0) AS gone
        FROM stock s FULL JOIN put USING (sku) FULL JOIN held USING (sku) FULL JOIN gone USING (sku))
    SELECT * FROM every
     WHERE (available IS NULL AND (put <> 0 OR held <> 0 OR gone <> 0)) OR available < 0 OR reserved < 0
        OR put <> available + reserved + sold OR reserved <> held OR sold <> gone
     ORDER BY sku"""


async def check_stock(books: Books) -> None:
    """Compare the stock with the adjustments and with the holds."""
    findings = books.findings[4]
    findings.checked += (await books.rows(SKUS))[0][0]
    found = await books.first(WRONG)
    texts = [text for row in found.rows for text in stock_violations(row)]
    findings.add_violations(texts, times=len(texts) + found.times - len(found.rows))


def stock_violations(row: Sequence[Any]) -> Iterator[str]:
    """Say what is wrong with a SKU. row: of WRONG."""
    sku, available, reserved, sold, put, held, gone = row
    if available is None:
        yield f"SKU {sku} has no stock row, and {put} put in, {held} held, {gone} sold"
        return
    if available < 0 or reserved < 0:
        yield f"SKU {sku} is negative: {available} available, {reserved} reserved"
    if put != available + reserved + sold:
        yield f"SKU {sku}: {put} were put in, and {available} available + {reserved} reserved + {sold} sold are there"
    if reserved != held:
        yield f"SKU {sku}: {reserved} are reserved, and the holds of orders sum to {held}"
    if sold != gone:
        yield f"SKU {sku}: {sold} are sold, and the sold holds of orders sum to {gone}"
