"""Invariants 1 and 8 against the database alone: bounds in each attempt, and sums over all orders."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, LiteralString

from domain.pending import AT_OTHERS
from outbox.audit.books import Books
from outbox.store.quarantine import IN_QUARANTINE

LISTED_MAX: Final = 20
"""Orders listed at most that keep money under review or in quarantine, or have a pending refund."""

_ATTEMPTS: Final[LiteralString] = "SELECT count(*) FROM attempt"
_OUT_OF_BOUNDS: Final[LiteralString] = """
    SELECT order_id, attempt, authorized_minor, captured_minor, refunded_minor FROM attempt
     WHERE NOT (0 <= refunded_minor AND refunded_minor <= captured_minor AND captured_minor <= authorized_minor)
     ORDER BY order_id, attempt"""
_TOO_MUCH: Final[LiteralString] = """
    SELECT o.order_id, o.total_minor, sum(a.captured_minor - a.refunded_minor)
      FROM attempt a JOIN orders o USING (order_id) GROUP BY o.order_id, o.total_minor
    HAVING sum(a.captured_minor - a.refunded_minor) > o.total_minor ORDER BY o.order_id"""
_TOO_MUCH_BACK: Final[LiteralString] = """
    SELECT a.order_id, a.attempt, a.captured_minor, a.refunded_minor, sum(p.amount_minor)
      FROM attempt a JOIN operation p USING (order_number, attempt)
     WHERE p.kind = 'refund' AND p.state IN ('open', 'pending', 'unknown')
       AND p.detail IS DISTINCT FROM %s
     GROUP BY a.order_id, a.attempt, a.captured_minor, a.refunded_minor
    HAVING a.refunded_minor + sum(p.amount_minor) > a.captured_minor ORDER BY 1, 2"""
"""Refunds under way count as returned. One that the gateway refused for somebody else's has not been made."""
_OTHER_CURRENCY: Final[LiteralString] = """
    SELECT p.order_id, p.attempt, p.kind, p.currency, o.currency
      FROM operation p JOIN orders o USING (order_id) WHERE p.currency <> o.currency ORDER BY 1, 2, 3"""
_PLACES: Final[LiteralString] = f"""
    WITH kept AS (
      SELECT order_id, sum(captured_minor) AS captured, sum(refunded_minor) AS refunded,
             coalesce(sum(refunded_minor) FILTER (WHERE a.attempt = o.attempt), 0) AS returned
        FROM attempt a JOIN orders o USING (order_id) GROUP BY order_id),
    going_back AS (
      SELECT order_id, sum(amount_minor) AS pending FROM operation
       WHERE kind = 'refund' AND state = 'pending' GROUP BY order_id),
    processing AS (
      SELECT p.order_id, o.total_minor AS amount FROM operation p JOIN orders o USING (order_id)
       WHERE p.state = 'pending' AND o.status IN ('payment_failed', 'cancelled')
         AND (p.kind = 'authorize' OR (p.kind = 'void' AND p.amount_minor = 0))),
    taken AS (
      SELECT d.order_id, sum(d.amount_minor) AS disputed FROM dispute d JOIN orders o USING (order_id)
       WHERE d.funds_withdrawn AND d.currency = o.currency GROUP BY d.order_id),
    waiting AS ({IN_QUARANTINE}),
    places AS (
      SELECT o.order_id, o.currency, o.total_minor AS total,
             CASE WHEN w.order_id IS NULL
                    OR o.status IN ('paid_and_confirmed', 'payment_failed', 'cancelled', 'manual_review')
                  THEN o.status ELSE 'in quarantine' END AS status, coalesce(k.captured, 0) AS captured,
             coalesce(k.refunded, 0) AS refunded, coalesce(k.returned, 0) AS returned,
             coalesce(g.pending, 0) AS pending,
             coalesce(p.amount, 0) AS processed,
             least(coalesce(d.disputed, 0), coalesce(k.captured - k.refunded, 0)) AS disputed
        FROM orders o LEFT JOIN kept k USING (order_id) LEFT JOIN going_back g USING (order_id)
             LEFT JOIN taken d USING (order_id) LEFT JOIN processing p USING (order_id)
             LEFT JOIN waiting w USING (order_id))
    SELECT currency, count(*), sum(captured), sum(refunded), sum(disputed),
           coalesce(sum(total - returned - disputed) FILTER (WHERE status = 'paid_and_confirmed'), 0),
           coalesce(sum(captured - refunded - disputed) FILTER (WHERE status = 'manual_review'), 0),
           coalesce(sum(captured - refunded - disputed) FILTER (WHERE status = 'in quarantine'), 0),
           coalesce(sum(pending - disputed) FILTER (WHERE status IN ('payment_failed', 'cancelled')), 0),
           sum(processed),
           json_agg(json_build_array(order_id, status, total, captured - refunded, pending) ORDER BY order_id)
             FILTER (WHERE captured - refunded
                           <> CASE WHEN status = 'paid_and_confirmed' THEN total - returned ELSE 0 END)
      FROM places GROUP BY currency ORDER BY currency"""  # noqa: S608 - literals only
"""By currency: the sums, and every order that keeps another amount than its status says.

A paid order keeps its total less what was refunded of the attempt that paid. Of what is kept, banks may have withdrawn
disputed money: it is counted apart, wherever the order stands.
"""


async def check_bounds(books: Books) -> None:
    """Look for amounts out of bounds (invariant 1)."""
    findings = books.findings[1]
    findings.checked += (await books.rows(_ATTEMPTS))[0][0]
    findings.add_violations(
        f"order {order_id} attempt {attempt}: authorized {authorized}, captured {captured}, refunded {refunded}"
        for order_id, attempt, authorized, captured, refunded in await books.rows(_OUT_OF_BOUNDS)
    )
    findings.add_violations(
        f"order {order_id} costs {total} and {kept} were captured and not refunded"
        for order_id, total, kept in await books.rows(_TOO_MUCH)
    )
    findings.add_violations(
        f"order {order_id} attempt {attempt}: captured {captured}, refunded {refunded}, {under_way} more under way"
        for order_id, attempt, captured, refunded, under_way in await books.rows(_TOO_MUCH_BACK, [AT_OTHERS])
    )
    findings.add_violations(
        f"order {order_id} is in {ours} and its operation {kind} of attempt {attempt} in {other}"
        for order_id, attempt, kind, other, ours in await books.rows(_OTHER_CURRENCY)
    )


async def check_sums(books: Books) -> None:
    """Account for all money, by currency (invariant 8, if quiescent); list the orders that are not finished."""
    findings = books.findings[8]
    for row in await books.rows(_PLACES):
        currency, orders, captured, refunded, disputed, paid, reviewed, waiting, pending, processed, unsettled = row
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
        listed, broken = _judge(unsettled or (), currency)
        findings.add_violations(text for _, text in broken)
        findings.notes += listed[:LISTED_MAX]
        if len(listed) > LISTED_MAX:
            findings.notes.append(
                f"and {len(listed) - LISTED_MAX} more orders with money under review, in quarantine or being refunded"
            )


async def wrongly_kept(books: Books) -> list[tuple[str, str]]:
    """Return the orders that keep another amount than their status says, with a text each.

    It means something only of orders with an outcome on which nobody works.
    """
    found = []
    for currency, *_, unsettled in await books.rows(_PLACES):
        found += _judge(unsettled or (), currency)[1]
    return found


def _judge(unsettled: Iterable[Sequence[Any]], currency: str) -> tuple[list[str], list[tuple[str, str]]]:
    """Tell orders that keep money for a known reason, a line each, from others: their ids and a text each."""
    listed, broken = [], []
    for order_id, status, total, kept, going_back in unsettled:
        if status == "manual_review":
            listed.append(f"order {order_id}: {kept} {currency} under review")
        elif status == "in quarantine":
            listed.append(f"order {order_id}: {kept} {currency} in quarantine")
        elif status in {"payment_failed", "cancelled"} and kept == going_back:
            listed.append(f"order {order_id}: {kept} {currency} being refunded")
        else:
            text = f"order {order_id} is {status}, costs {total} {currency} and keeps {kept}, {going_back} going back"
            broken.append((order_id, text))
    return listed, broken
