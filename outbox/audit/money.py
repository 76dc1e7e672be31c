"""Invariants 1 and 8 against the database alone: bounds in each attempt, and sums over all orders."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, LiteralString

from domain.pending import AT_OTHERS
from outbox.audit.books import Books
from outbox.audit.report import VIOLATIONS_KEPT_MAX
from outbox.schema.mapping import BESIDE, ONE_AT_A_TIME
from outbox.store.quarantine import IN_QUARANTINE

LISTED_MAX: Final = 20
"""Orders listed at most that keep money under review or in quarantine, or have a pending refund."""

UNFINISHED: Final[LiteralString] = f"({ONE_AT_A_TIME}) OR ({BESIDE})"
"""Named so, they are found by two small indexes."""
_ATTEMPTS: Final[LiteralString] = "SELECT count(*) FROM attempt"
_OUT_OF_BOUNDS: Final[LiteralString] = """
    SELECT order_id, attempt, authorized_minor, captured_minor, refunded_minor FROM attempt
     WHERE NOT (0 <= refunded_minor AND refunded_minor <= captured_minor AND captured_minor <= authorized_minor)
     ORDER BY order_id, attempt"""
_TOO_MUCH: Final[LiteralString] = """
    SELECT o.order_id, o.total_minor, a.kept
      FROM (SELECT order_id, sum(captured_minor - refunded_minor) AS kept
              FROM attempt GROUP BY order_id) a
      JOIN orders o USING (order_id)
     WHERE a.kept > o.total_minor ORDER BY o.order_id"""
_TOO_MUCH_BACK: Final[LiteralString] = f"""
    SELECT a.order_id, a.attempt, a.captured_minor, a.refunded_minor, sum(p.amount_minor)
      FROM attempt a JOIN operation p USING (order_number, attempt)
     WHERE p.kind = 'refund' AND p.state IN ('open', 'pending', 'unknown') AND ({UNFINISHED})
       AND p.detail IS DISTINCT FROM %s
     GROUP BY a.order_id, a.attempt, a.captured_minor, a.refunded_minor
    HAVING a.refunded_minor + sum(p.amount_minor) > a.captured_minor ORDER BY 1, 2"""  # noqa: S608 - literals only
"""Refunds under way count as returned. One that the gateway refused for somebody else's has not been made."""
_OTHER_CURRENCY: Final[LiteralString] = """
    SELECT p.order_id, p.attempt, p.kind, p.currency, o.currency
      FROM operation p JOIN orders o USING (order_id)
     WHERE p.currency <> o.currency ORDER BY 1, 2, 3"""
_KNOWN: Final[LiteralString] = """
    (status IN ('manual_review', 'in quarantine')
     OR (status IN ('payment_failed', 'cancelled') AND captured - refunded = pending))"""
"""An order that keeps another amount than its status says, for a known reason."""
_OTHER: Final[LiteralString] = """
    captured - refunded <> CASE WHEN status = 'paid_and_confirmed' THEN total - returned ELSE 0 END"""
_PLACES: Final[LiteralString] = f"""
    WITH going_back AS (
      SELECT order_number, sum(amount_minor) AS pending FROM operation
       WHERE kind = 'refund' AND state = 'pending' GROUP BY order_number),
    processing AS (
      SELECT p.order_number, o.total_minor AS amount FROM operation p JOIN orders o USING (order_number)
       WHERE p.state = 'pending' AND ({UNFINISHED}) AND o.status IN ('payment_failed', 'cancelled')
         AND (p.kind = 'authorize' OR (p.kind = 'void' AND p.amount_minor = 0))),
    taken AS (
      SELECT d.order_number, sum(d.amount_minor) AS disputed FROM dispute d JOIN orders o USING (order_number)
       WHERE d.funds_withdrawn AND d.currency = o.currency GROUP BY d.order_number),
    waiting AS ({IN_QUARANTINE}),
    kept AS (
      SELECT o.order_number, o.order_id, o.currency, o.total_minor AS total, o.status,
             coalesce(sum(captured_minor), 0) AS captured, coalesce(sum(refunded_minor), 0) AS refunded,
             coalesce(sum(refunded_minor) FILTER (WHERE a.attempt = o.attempt), 0) AS returned
        FROM orders o LEFT JOIN attempt a USING (order_id)
       GROUP BY 1, 2, 3, 4, 5),
    places AS (
      SELECT k.order_id, k.currency, k.total,
             CASE WHEN w.order_id IS NULL
                    OR k.status IN ('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')
                  THEN k.status ELSE 'in quarantine' END AS status, k.captured, k.refunded, k.returned,
             coalesce(g.pending, 0) AS pending, coalesce(p.amount, 0) AS processed,
             least(coalesce(d.disputed, 0), k.captured - k.refunded) AS disputed
        FROM kept k LEFT JOIN going_back g USING (order_number) LEFT JOIN taken d USING (order_number)
             LEFT JOIN processing p USING (order_number) LEFT JOIN waiting w ON w.order_id = k.order_id),
    judged AS (
      SELECT *, {_OTHER} AS other,
             {_KNOWN} AS known
        FROM places)
    SELECT currency, count(*), sum(captured), sum(refunded), sum(disputed),
           coalesce(sum(total - returned - disputed) FILTER (WHERE status = 'paid_and_confirmed'), 0),
           coalesce(sum(captured - refunded - disputed) FILTER (WHERE status = 'manual_review'), 0),
           coalesce(sum(captured - refunded - disputed) FILTER (WHERE status = 'in quarantine'), 0),
           coalesce(sum(pending - disputed) FILTER (WHERE status IN ('payment_failed', 'cancelled')), 0),
           sum(processed),
           count(*) FILTER (WHERE other AND known),
           (array_agg(json_build_array(order_id, status, total, captured - refunded, pending) ORDER BY order_id)
             FILTER (WHERE other AND known))[1:{LISTED_MAX}],
           count(*) FILTER (WHERE other AND NOT known),
           (array_agg(json_build_array(order_id, status, total, captured - refunded, pending) ORDER BY order_id)
             FILTER (WHERE other AND NOT known))[1:{VIOLATIONS_KEPT_MAX}]
      FROM judged GROUP BY currency ORDER BY currency"""  # noqa: S608 - literals only
"""By currency: the sums, and orders that keep another amount than their status says: how many, and the first of them.

A paid order keeps its total less what was refunded of the attempt that paid. Of what is kept, banks may have withdrawn
disputed money: it is counted apart, wherever the order stands.
"""


async def check_bounds(books: Books) -> None:
    """Look for amounts out of bounds (invariant 1)."""
    findings = books.findings[1]
    findings.checked += (await books.rows(_ATTEMPTS))[0][0]
    found = await books.first(_OUT_OF_BOUNDS)
    findings.add_violations(
        (
            f"order {order_id} attempt {attempt}: authorized {authorized}, captured {captured}, refunded {refunded}"
            for order_id, attempt, authorized, captured, refunded in found.rows
        ),
        times=found.times,
    )
    found = await books.first(_TOO_MUCH)
    findings.add_violations(
        (
            f"order {order_id} costs {total} and {kept} were captured and not refunded"
            for order_id, total, kept in found.rows
        ),
        times=found.times,
    )
    found = await books.first(_TOO_MUCH_BACK, [AT_OTHERS])
    findings.add_violations(
        (
            f"order {order_id} attempt {attempt}: captured {captured}, refunded {refunded}, {under_way} more under way"
            for order_id, attempt, captured, refunded, under_way in found.rows
        ),
        times=found.times,
    )
    found = await books.first(_OTHER_CURRENCY)
    findings.add_violations(
        (
            f"order {order_id} is in {ours} and its operation {kind} of attempt {attempt} in {other}"
            for order_id, attempt, kind, other, ours in found.rows
        ),
        times=found.times,
    )


async def check_sums(books: Books) -> None:
    """Account for all money, by currency (invariant 8, if quiescent); list the orders that are not finished."""
    findings = books.findings[8]
    for row in await books.rows(_PLACES):
        currency, orders, captured, refunded, disputed, paid, reviewed, waiting, pending, processed, *others = row
        findings.checked += orders
        figures = f"{currency}: captured {captured} - refunded {refunded} = {captured - refunded}"
        every = paid + reviewed + waiting + pending + disputed
        places = f"paid {paid} + under review {reviewed} + refunds pending {pending} = {every}"
        if disputed:
            places = places.replace(" = ", f" + disputed {disputed} (withdrawn by banks) = ")
        if waiting:
            places = places.replace(" = ", f" + in quarantine {waiting} = ")
        # What a bank still processes for failed orders is nobody's money yet; if it comes, it goes back.
        late = f"; pending authorizes of failed orders {processed}" if processed else ""
        findings.notes.append(f"{figures}; {places}{late}")
        if captured - refunded != every:
            findings.add_violations(f"{figures}, but {places}")
        known, listed, times, broken = others
        findings.add_violations((text for _, text in _broken(broken or (), currency)), times=times)
        findings.notes += _listed(listed or (), currency)
        if known > LISTED_MAX:
            findings.notes.append(
                f"and {known - LISTED_MAX} more orders with money under review, in quarantine or being refunded"
            )


async def wrongly_kept(books: Books) -> list[tuple[str, str]]:
    """Return the orders that keep another amount than their status says, with a text each.

    It means something only of orders with an outcome on which nobody works. At most VIOLATIONS_KEPT_MAX by currency.
    """
    return [found for currency, *_, broken in await books.rows(_PLACES) for found in _broken(broken or (), currency)]


def _listed(orders: Iterable[Sequence[Any]], currency: str) -> Iterator[str]:
    """Say for what known reason each of these orders keeps money."""
    for order_id, status, _, kept, _ in orders:
        where = {"manual_review": "under review", "in quarantine": "in quarantine"}.get(status, "being refunded")
        yield f"order {order_id}: {kept} {currency} {where}"


def _broken(orders: Iterable[Sequence[Any]], currency: str) -> Iterator[tuple[str, str]]:
    """Say of each of these orders what it keeps: its id, and a text."""
    for order_id, status, total, kept, going_back in orders:
        text = f"order {order_id} is {status}, costs {total} {currency} and keeps {kept}, {going_back} going back"
        yield order_id, text
