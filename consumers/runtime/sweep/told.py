"""Notices that no operation waits for: the gateway is asked about their transactions, and the answer is booked.

A dispute, a refund or a capture of somebody else, a warning. Many notices of one transaction are one question. What
cannot be booked yet is asked about again later; after a day an operator is told.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from consumers.gateway_told import ROWS
from consumers.runtime.performing import IDS_MAX
from consumers.runtime.sweep.booking import Booking
from consumers.runtime.sweep.job import Job, Tools
from consumers.runtime.work import Work
from domain.alarms import Lasting, ring
from domain.decision import NOTHING
from domain.disputing import KnownDispute
from domain.errors import Transient
from domain.hearing import Hearing, attempt_of, facts_of, hear, with_closed
from domain.ids import OrderId
from domain.news import Dispute, TransactionNews
from domain.notices import FRAUD_WARNING, ORPHAN_AFTER, RING_AFTER, UNASKED, Fate, ask_pause, fate_of_heard
from domain.ports.notices import Answered, Kept, Notices

ASKED_AT_ONCE: Final = 8
"""Transactions about which the gateway is asked at the same time: a storm of notices must not slow down payments."""
AGAIN_S: Final = 30.0
"""Until the next question if the gateway answered none of ASKED_AT_ONCE."""
UNREAD_S: Final = 600.0
"""If the gateway answers no question for so long, that is an alarm."""


class _Heard(NamedTuple):
    """What the gateway says of one transaction, and the notices that made us ask."""

    news: TransactionNews
    kept: Sequence[Kept]

    @property
    def order_id(self) -> OrderId:
        """Return the order that the transaction's metadata names."""
        return OrderId(self.news.order_id or "")

    @property
    def asked_at(self) -> datetime:
        """Return when we asked, by the database's clock: not later than the question."""
        return max(kept.now for kept in self.kept)


class ToldByGateway(Job):
    """Asks about kept notices. notices: where they are kept."""

    name = "sweep told"

    def __init__(self, tools: Tools, notices: Notices) -> None:
        super().__init__(tools)
        self._notices = notices
        self._next_s = 0.0
        self._unread = Lasting(self._log, "told_unread")
        self._unread_since: float | None = None
        self._fates: dict[str, tuple[Fate, OrderId | None]] = {}
        self._booking: Booking[_Heard] = Booking(tools, self.name, lambda heard: heard.order_id, self._settle)

    async def do(self, stop: asyncio.Event | None) -> int:
        """Ask about all that is due; return 0, for calls are begun by others."""
        while asyncio.get_running_loop().time() >= self._next_s:
            most = self._most
            kept = await self._look(self._claim, stop)
            if kept:
                await self._hear(kept, stop)
            if len(kept) < most or (stop is not None and stop.is_set()):
                break
        return 0

    async def _claim(self, most: int) -> Sequence[Kept]:
        return await self._notices.claim_kept(most, self._tools.rules.lease_s)

    async def _hear(self, kept: Sequence[Kept], stop: asyncio.Event | None) -> None:
        """Ask about these, book the answers, and write what became of the notices."""
        self._fates = {}
        by_transaction: dict[str, list[Kept]] = {}
        for each in kept:
            if each.notice.intent_id is None:
                self._fates[each.notice.notice_id] = Fate.FOREIGN, None  # it names no payment, so none of ours
            else:
                by_transaction.setdefault(each.notice.intent_id, []).append(each)
        heard = await self._ask(by_transaction)
        for foreign in (each for each in heard if each.news.order_id is None):
            self._fates |= {each.notice.notice_id: (Fate.FOREIGN, None) for each in foreign.kept}
        await self._booking.book([each for each in heard if each.news.order_id is not None], stop)
        answers = [self._answer(each) for each in kept]
        await self._look(lambda _: self._notices.note_answers(answers), stop)
        self._ring(kept, answers)

    async def _ask(self, by_transaction: Mapping[str, Sequence[Kept]]) -> list[_Heard]:
        """Return what the gateway says, as far as it answers."""
        heard: list[_Heard] = []
        left = list(by_transaction.items())
        while left:
            some, left = left[:ASKED_AT_ONCE], left[ASKED_AT_ONCE:]
            answers = await asyncio.gather(*(self._ask_one(name, kept) for name, kept in some))
            errors = [answer for answer in answers if isinstance(answer, Transient)]
            heard += [answer for answer in answers if isinstance(answer, _Heard)]
            missing = [kept for (_, kept), answer in zip(some, answers, strict=True) if answer is None]
            self._note_missing([each for kept in missing for each in kept])
            now = asyncio.get_running_loop().time()
            if len(errors) < len(some):
                self._unread_since = None
                self._unread.end(now, "the gateway answers questions about its notices again")
            if errors:
                self._log.warning("the gateway does not say what it told us about", error=str(errors[0]))
            if len(errors) == len(some):
                self._note_down(now, errors[0])
                break
        return heard

    async def _ask_one(self, transaction_id: str, kept: Sequence[Kept]) -> _Heard | Transient | None:
        disputed = any(each.notice.type in UNASKED for each in kept)
        try:
            news = await self._tools.ports.gateway.news_of(transaction_id, with_disputes=disputed)
        except Transient as error:
            return error
        return None if news is None else _Heard(news, kept)

    def _note_missing(self, kept: Sequence[Kept]) -> None:
        """Note that the gateway does not have a transaction. If nothing says that it is ours, that ends in a day."""
        for each in kept:
            if each.notice.order_id is None:
                self._fates[each.notice.notice_id] = _of_unknown_order(each), None

    def _note_down(self, now: float, error: Transient) -> None:
        self._next_s = now + AGAIN_S
        self._unread_since = now if self._unread_since is None else self._unread_since
        if now - self._unread_since >= UNREAD_S:
            self._unread.again(now, "the gateway does not say what it told us about", error=str(error))

    async def _settle(self, heard: Sequence[_Heard]) -> None:
        """Book what the gateway says of these transactions, in one transaction of ours."""
        async with self._tools.ports.store.transaction(contended=False) as transaction:
            ids = list(dict.fromkeys(each.order_id for each in heard))
            loaded = await transaction.load(ids, waiting=True)
            orders = {i: with_closed(order, await transaction.history(i)) for i, order in loaded.items()}
            disputes = {i: tuple(await transaction.disputes(i)) for i in loaded}
            work = self._begin(transaction, orders)
            fates: dict[str, tuple[Fate, OrderId | None]] = {}
            for each in heard:
                if each.order_id in transaction.waiting:
                    continue  # it is in quarantine: it stays kept, so that it does not raise again and again
                if each.order_id in loaded:
                    fates |= _book(work, each, disputes[each.order_id])
                else:
                    fates |= {kept.notice.notice_id: (_of_unknown_order(kept), None) for kept in each.kept}
            await work.finish(self._tools.ports)
        self._fates |= fates
        work.report(self._log)

    def _answer(self, kept: Kept) -> Answered:
        fate, order_id = self._fates.get(kept.notice.notice_id, (Fate.KEPT, None))
        ask_at = kept.now + ask_pause(kept.age) if fate is Fate.KEPT else None
        return Answered(kept.notice.notice_id, fate, order_id, ask_at)

    def _ring(self, kept: Sequence[Kept], answers: Sequence[Answered]) -> None:
        old = [
            (each.notice, answer)
            for each, answer in zip(kept, answers, strict=True)
            if answer.fate is Fate.KEPT and each.age >= RING_AFTER
        ]
        if old:
            told = [f"{notice.type} {notice.intent_id}" for notice, _ in old[:IDS_MAX]]
            ids = {"notices": len(old), "told": told, "order_ids": [answer.order_id for _, answer in old[:IDS_MAX]]}
            ring(self._log, "notice_kept", "what the gateway told has led nowhere for a day", **ids)
        orphans = [each.notice for each, a in zip(kept, answers, strict=True) if a.fate is Fate.UNKNOWN_ORDER]
        if orphans:
            text = "the gateway tells of orders that are not in this database"
            transactions = [notice.intent_id for notice in orphans[:IDS_MAX]]
            ring(self._log, "notice_orphaned", text, transactions=transactions, orders=len(orphans))


def _of_unknown_order(kept: Kept) -> Fate:
    return Fate.UNKNOWN_ORDER if kept.age >= ORPHAN_AFTER else Fate.KEPT


def _book(work: Work, heard: _Heard, disputes: tuple[KnownDispute, ...]) -> dict[str, tuple[Fate, OrderId | None]]:
    """Take every fact into the work; return the fates of the notices."""
    waits, did = {True: False, False: False}, False
    known = work.order(heard.order_id)
    assert known is not None
    warned = any(kept.notice.type == FRAUD_WARNING for kept in heard.kept)
    for fact in facts_of(known, heard.news, heard.asked_at, warned=warned):
        order = work.order(heard.order_id)
        assert order is not None
        attempt = attempt_of(order, heard.news.transaction_id, heard.news.operation_id)
        hearing = Hearing(order, fact, work.context(None), attempt, disputes, heard.asked_at)
        decision = hear(ROWS, hearing)
        if decision is None:
            waits[isinstance(fact, Dispute)] = True
        else:
            # That a dispute was looked at once more is kept, and is no news.
            did |= decision != NOTHING if decision.dispute is None else bool(decision.events or decision.alarm)
            work.apply(decision)
            if decision.dispute is not None:
                new = decision.dispute
                disputes = (*(d for d in disputes if d.dispute_id != new.dispute_id), new)
    fates: dict[str, tuple[Fate, OrderId | None]] = {}
    for kept in heard.kept:
        done = fate_of_heard(kept.notice, kept.age, heard.news, did=did)
        fate = Fate.KEPT if waits[kept.notice.type in UNASKED] else done
        fates[kept.notice.notice_id] = fate, heard.order_id
    return fates
