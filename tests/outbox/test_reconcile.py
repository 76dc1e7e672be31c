"""The comparison with the gateway's lists: what is compared, what is not judged, what is not ours."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from domain.ids import OrderId
from domain.news import Dispute
from domain.operation import OperationKind, operation_id
from domain.ports.gateway import LedgerEntry, ListedRefund, ListedTransaction, RefundState
from outbox.audit import Kind, Reconciliation, audit, read_lists, reconcile
from tests.outbox.world import Case

pytestmark = pytest.mark.integration

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Lists:
    """Lists of a test's own, in pages of three. before: a statement that runs while they are read."""

    all_transactions: Sequence[ListedTransaction]
    all_refunds: Sequence[ListedRefund]
    case: Case
    before: str | None = None
    all_disputes: Sequence[Dispute] = ()

    async def transactions(self, since: datetime) -> AsyncIterator[Sequence[ListedTransaction]]:
        if self.before is not None:
            await self.case.run(self.before)
        for n in range(0, len(self.all_transactions), 3):
            yield self.all_transactions[n : n + 3]

    async def refunds(self, since: datetime) -> AsyncIterator[Sequence[ListedRefund]]:
        yield self.all_refunds

    async def disputes(self, since: datetime) -> AsyncIterator[Sequence[Dispute]]:
        yield self.all_disputes


def lists_of(case: Case, entries: Sequence[LedgerEntry] | None = None) -> Lists:
    """Show the world's ledger as lists do."""
    entries = case.world.entries if entries is None else entries
    return Lists([_transaction(e) for e in entries], [r for e in entries for r in _refunds(e)], case)


def _transaction(entry: LedgerEntry) -> ListedTransaction:
    kinds = {effect.kind for effect in entry.effects}
    return ListedTransaction(
        *(entry.transaction_id, entry.order_id, entry.operation_id, entry.status, entry.currency),
        *(entry.amount_minor, entry.authorized_minor, entry.captured_minor),
        cancelled="cancel" in kinds,
        undecided=False,
        created_at=entry.effects[0].at if entry.effects else SINCE,
    )


def _refunds(entry: LedgerEntry) -> list[ListedRefund]:
    found = []
    for number, effect in enumerate(e for e in entry.effects if e.kind == "refund"):
        _, order_id, attempt, _, tried = effect.key.split(":")
        by = operation_id(OrderId(order_id), int(attempt), OperationKind.REFUND, int(tried))
        found.append(
            ListedRefund(
                *(f"re_{entry.transaction_id}_{number}", entry.transaction_id, order_id, str(by)),
                *(RefundState.SUCCEEDED, entry.currency, effect.amount_minor, effect.at),
            )
        )
    return found


async def session(case: Case) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(case.url, autocommit=True)


async def compared(case: Case, lists: Lists, told: list[str] | None = None) -> Reconciliation:
    async with await session(case) as connection:
        tell = told.append if told is not None else lambda _: None
        return await reconcile(connection, await read_lists(connection, lists, SINCE, tell))


async def test_a_run_of_everything_that_may_happen_to_an_order_has_no_difference(case: Case) -> None:
    told: list[str] = []
    found = await compared(case, lists_of(case), told)
    assert found.same, found.kept
    assert (found.transactions, found.foreign_transactions) == (len(case.world.entries), 0)
    assert len(told) == (len(case.world.entries) + 2) // 3 + 1


async def test_what_has_none_of_our_metadata_is_counted_apart(case: Case) -> None:
    lists = lists_of(case)
    other = replace(lists.all_transactions[0], transaction_id="pi_other", operation_id=None, order_id="paid")
    back = replace(lists.all_refunds[0], refund_id="re_other", transaction_id="pi_other", operation_id=None)
    found = await compared(
        case,
        replace(lists, all_transactions=[*lists.all_transactions, other], all_refunds=[*lists.all_refunds, back]),
    )
    assert found.same
    assert (found.foreign_transactions, found.foreign_refunds) == (1, 1)


async def test_a_transaction_that_lost_its_metadata_is_still_that_of_its_attempt(case: Case) -> None:
    lists = lists_of(case)
    bare = [replace(t, operation_id=None, order_id=None) for t in lists.all_transactions]
    found = await compared(case, replace(lists, all_transactions=bare))
    moved = [t for t in lists.all_transactions if t.authorized_minor]
    assert found.same, found.kept
    assert found.transactions >= len(moved)


async def test_metadata_that_no_text_column_can_hold_is_listed_all_the_same(case: Case) -> None:
    lists = lists_of(case)
    odd = replace(lists.all_transactions[0], transaction_id="pi_odd", order_id="a\0b\ud800", authorized_minor=1)
    found = await compared(case, replace(lists, all_transactions=[*lists.all_transactions, odd]))
    assert [(d.kind, d.order_id) for d in found.kept] == [(Kind.ORDER_UNKNOWN, "a?b?")]


async def test_a_transaction_of_ours_without_an_order_is_of_an_unknown_one(case: Case) -> None:
    lists = lists_of(case)
    strange = replace(
        lists.all_transactions[0], transaction_id="pi_strange", order_id=None, authorized_minor=1, captured_minor=0
    )
    found = await compared(case, replace(lists, all_transactions=[*lists.all_transactions, strange]))
    assert [(d.kind, d.order_id) for d in found.kept] == [(Kind.ORDER_UNKNOWN, None)]


async def test_attempts_from_before_the_lists_are_not_missed(case: Case) -> None:
    without = lists_of(case, [entry for entry in case.world.entries if entry.order_id != "paid"])
    assert [d.kind for d in (await compared(case, without)).kept] == [Kind.TRANSACTION_MISSING]
    await case.run("UPDATE operation SET opened_at = '2025-12-31' WHERE order_id = 'paid' AND kind = 'authorize'")
    assert (await compared(case, without)).same


async def test_a_late_refund_of_an_older_transaction_is_found(case: Case) -> None:
    await case.run("UPDATE operation SET opened_at = '2025-12-31' WHERE order_id = 'paid' AND kind = 'authorize'")
    lists = lists_of(case, [entry for entry in case.world.entries if entry.order_id != "paid"])
    late = replace(
        lists.all_refunds[0],
        refund_id="re_late",
        transaction_id=case.entry("paid").transaction_id,
        operation_id=None,
        order_id=None,
    )
    found = await compared(case, replace(lists, all_refunds=[*lists.all_refunds, late]))
    assert [(d.kind, d.order_id, d.refund_id) for d in found.kept] == [(Kind.REFUNDED_ELSEWHERE, "paid", "re_late")]


async def test_what_changed_while_the_lists_were_read_is_not_judged(case: Case) -> None:
    await case.run("UPDATE attempt SET captured_minor = 1 WHERE order_id = 'paid'")
    assert not (await compared(case, lists_of(case))).same
    moving = replace(lists_of(case), before="UPDATE orders SET updated_at = now() WHERE order_id = 'paid'")
    found = await compared(case, moving)
    assert (found.same, found.under_way) == (True, 1)


async def test_a_second_reading_over_the_same_session_starts_anew(case: Case) -> None:
    async with await session(case) as connection:
        first = await reconcile(connection, await read_lists(connection, lists_of(case), SINCE, lambda _: None))
        again = await reconcile(connection, await read_lists(connection, lists_of(case), SINCE, lambda _: None))
    assert first == again


async def test_the_audit_with_lists_says_what_these_do_not_show(case: Case) -> None:
    async with await session(case) as connection:
        lists = await read_lists(connection, lists_of(case), SINCE, lambda _: None)
        report = await audit(connection, case.world.scope, ledger=lists)
    assert {i.id: i.holds for i in report.invariants} == {n: n not in {2, 3} or None for n in range(1, 10)}
    assert report.holds


async def test_the_audit_with_lists_finds_what_they_show(case: Case) -> None:
    again = replace(case.entry("paid"), transaction_id="pi_again")
    async with await session(case) as connection:
        lists = await read_lists(connection, lists_of(case, [*case.world.entries, again]), SINCE, lambda _: None)
        report = await audit(connection, case.world.scope, ledger=lists)
    assert {i.id for i in report.invariants if i.holds is False} == {1, 2, 8}
