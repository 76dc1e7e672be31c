"""The audit holds our attempts against the gateway's own books, both ways, and judges no order that still moves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from domain.ids import OrderId
from domain.ports.gateway import Effect, LedgerEntry
from outbox.audit import audit
from tests.outbox.world import Case, Ledger, broken, violations

pytestmark = pytest.mark.integration

AT = datetime(2026, 3, 1, tzinfo=UTC)
STRANGE = LedgerEntry(
    "pi_strange",
    OrderId("nobody"),
    "strange-operation",
    "succeeded",
    "EUR",
    500,
    500,
    0,
    (Effect("authorize", "k", AT, 500), Effect("capture", "k", AT, 500)),
)


async def test_money_of_an_order_that_we_do_not_know_is_found(case: Case) -> None:
    report = await case.audit([*case.world.entries, STRANGE])
    assert broken(report) == {2, 8}
    assert "pi_strange of order nobody, which we do not know: 500 EUR kept" in violations(report, 2)


async def test_money_without_an_order_is_found(case: Case) -> None:
    report = await case.audit([*case.world.entries, replace(STRANGE, order_id=None)])
    assert broken(report) == {2, 8}


async def test_a_second_transaction_of_a_paid_order_is_found(case: Case) -> None:
    again = replace(case.entry("paid"), transaction_id="pi_again")
    report = await case.audit([*case.world.entries, again])
    assert broken(report) == {1, 2, 8}
    told = violations(report, 2)
    assert "no attempt knows transaction pi_again" in told
    assert "captured and not refunded" in told
    assert "2 times" in told


async def test_a_hold_that_no_attempt_knows_is_found(case: Case) -> None:
    held = replace(STRANGE, order_id=OrderId("paid"), captured_minor=0, effects=STRANGE.effects[:1])
    report = await case.audit([*case.world.entries, held])
    assert broken(report) == {2}
    assert "500 held" in violations(report, 2)


@pytest.mark.parametrize(
    ("order_id", "kind"), [("paid", "authorize"), ("paid", "capture"), ("short", "cancel")], ids=lambda value: value
)
async def test_an_effect_that_happened_twice_is_found(case: Case, order_id: str, kind: str) -> None:
    effects = case.entry(order_id).effects
    twice = next(effect for effect in effects if effect.kind == kind)
    report = await case.audit(case.doctored(order_id, effects=(*effects, twice)))
    assert f"has 2 effects {kind}" in violations(report, 2)


async def test_a_capture_after_the_cancellation_is_found(case: Case) -> None:
    effects = (*case.entry("short").effects, Effect("capture", "k", AT, 1))
    report = await case.audit(case.doctored("short", effects=effects))
    assert "captured after it was cancelled" in violations(report, 3)


AMOUNTS: list[tuple[str, dict[str, object], set[int], str]] = [
    ("paid", {"captured_minor": 1}, {1, 8}, "has captured 3080, and the gateway 1 "),
    ("short-captured", {"refunded_minor": 1}, {1, 8}, "has refunded 5630, and the gateway 1 "),
    ("paid", {"refunded_minor": 4_000}, {1, 8}, "refunded 4000, captured 3080"),
    ("paid", {"currency": "USD"}, {1}, "is in USD, not EUR"),
    ("paid", {"effects": ()}, {1}, "has authorized 3080, and the gateway 0 "),
    ("paid", {"order_id": "free"}, {1, 2, 8}, "which the gateway does not have"),
]


@pytest.mark.parametrize(("order_id", "changes", "numbers", "told"), AMOUNTS)
async def test_an_amount_that_the_gateway_has_otherwise_is_found(
    case: Case, order_id: str, changes: dict[str, object], numbers: set[int], told: str
) -> None:
    report = await case.audit(case.doctored(order_id, **changes))
    assert broken(report) == numbers
    assert told in violations(report, 1)


async def test_a_transaction_that_the_gateway_lacks_is_found(case: Case) -> None:
    report = await case.audit([entry for entry in case.world.entries if entry.order_id != "paid"])
    assert broken(report) == {1}
    assert "which the gateway does not have" in violations(report, 1)


async def test_an_authorization_that_a_failed_order_left_behind_is_found(case: Case) -> None:
    report = await case.audit(case.doctored("short", effects=case.entry("short").effects[:1]))
    assert broken(report) == {9}
    assert "still holds 5630 for voided attempt 1" in violations(report, 9)


async def test_a_pending_refund_may_have_succeeded_at_the_gateway(case: Case) -> None:
    entry = case.entry("pending")
    refund = Effect("refund", "k", AT, entry.captured_minor)
    done = case.doctored("pending", refunded_minor=entry.captured_minor, effects=(*entry.effects, refund))
    assert (await case.audit(done)).holds


async def test_differences_of_an_order_that_is_being_worked_on_cannot_be_judged(case: Case) -> None:
    await case.run(
        "UPDATE operation SET state = 'unknown', due_at = now() WHERE order_id = 'retried' AND kind = 'capture'"
    )
    report = await case.audit(case.doctored("retried", captured_minor=0, effects=case.entry("retried").effects[:1]))
    assert report.invariants[0].holds is None
    assert "being worked on" in report.invariants[0].notes[-1]
    assert report.holds


async def test_differences_of_an_order_left_to_an_operator_are_listed(case: Case) -> None:
    found = replace(STRANGE, order_id=OrderId("unknown"))
    report = await case.audit([*case.world.entries, found])
    assert report.holds
    assert report.invariants[1].notes == (
        "order unknown, for an operator to settle: no attempt knows transaction pi_strange: 500 EUR kept, 0 held",
    )


class Moving(Ledger):
    """The pipeline goes on while the books are read."""

    def __init__(self, case: Case, statement: str, entries: Sequence[LedgerEntry]) -> None:
        super().__init__(entries)
        self._case = case
        self._statement = statement

    async def entries(self) -> Sequence[LedgerEntry]:
        await self._case.run(self._statement)
        return await super().entries()


@pytest.mark.parametrize(
    ("strange", "statement"),
    [
        (STRANGE, "UPDATE orders SET order_id = 'nobody' WHERE order_id = 'free'"),
        (
            replace(STRANGE, order_id=OrderId("declined")),
            "UPDATE orders SET updated_at = now() WHERE order_id = 'declined'",
        ),
    ],
    ids=["an order begun since", "another attempt begun since"],
)
async def test_what_the_gateway_did_after_the_snapshot_is_not_judged(
    case: Case, strange: LedgerEntry, statement: str
) -> None:
    ledger = Moving(case, statement, [*case.world.entries, strange])
    async with await psycopg.AsyncConnection.connect(case.url, autocommit=True) as connection:
        report = await audit(connection, case.world.scope, ledger=ledger)
    assert [report.invariants[1].holds, report.invariants[7].holds] == [None, None]
    assert report.holds
