"""Compares what happened with the script: in the database, on the topics, and in the gateway's own ledger."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from deploy.demo.goods import Ledger, goods_problems
from deploy.demo.mailbox import Mail
from deploy.demo.script import Script, ScriptedOrder
from deploy.demo.stories import OUTCOMES, End, Money
from deploy.demo.telling import Told, mail_problems
from deploy.demo.watch import Observed
from domain.ids import OrderId
from domain.operation import OperationKind, operation_id
from domain.order import Attempt, Order
from domain.ports.gateway import LedgerEntry
from schemas.texts import counted

EFFECTS: Final[Mapping[Money, tuple[str, ...]]] = {
    Money.NONE: (),
    Money.TAKEN: ("authorize", "capture"),
    Money.VOIDED: ("authorize", "cancel"),
    Money.REFUNDED: ("authorize", "capture", "refund"),
    Money.REFUNDED_IN_PART: ("authorize", "capture", "refund"),
}
"""What the gateway must have done, once each, in this order."""
NOTHING_KEPT: Final = (EFFECTS[Money.NONE], EFFECTS[Money.VOIDED], EFFECTS[Money.REFUNDED])
"""What it may have done where only the end counts."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run left behind: orders in the database, transactions at the gateway, messages on the topics.

    goods: the ledger of an inventory elsewhere. told, mails: what customers were to be told, and the mails that came.
    """

    orders: Mapping[OrderId, Order]
    ledger: Sequence[LedgerEntry]
    observed: Observed
    goods: Ledger | None = None
    told: Sequence[Told] = ()
    mails: Sequence[Mail] = ()


@dataclass(slots=True)
class Verdict:
    """outcomes and expected: orders by status. wrong: what is not as the script says, by order id or message key."""

    outcomes: dict[str, int]
    expected: dict[str, int]
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def as_expected(self, order: ScriptedOrder) -> bool:
        """Whether everything about this order is as its script says."""
        return order.order_id not in self.wrong


def judge(script: Script, evidence: Evidence) -> Verdict:
    """Compare what happened with the script."""
    found = Counter(str(order.status) for order in evidence.orders.values())
    wanted = Counter(order.story.outcome for order in script.orders)
    verdict = Verdict({name: found[name] for name in OUTCOMES}, {name: wanted[name] for name in OUTCOMES})
    by_order: dict[str, list[LedgerEntry]] = {}
    for entry in evidence.ledger:
        by_order.setdefault(entry.order_id or "", []).append(entry)
    for scripted in script.orders:
        problems = list(_order_problems(scripted, evidence, by_order.pop(scripted.order_id, [])))
        if problems:
            verdict.wrong[scripted.order_id] = problems
    for order_id, entries in by_order.items():
        verdict.wrong[order_id or "(no order)"] = [f"{len(entries)} transactions at the gateway that nobody asked for"]
    for order_id in evidence.orders.keys() - {order.order_id for order in script.orders}:
        verdict.wrong[order_id] = ["an order that must not exist"]
    for key, problem in mail_problems(script, evidence.told, evidence.mails):
        verdict.wrong.setdefault(key, []).append(problem)
    if evidence.goods is not None:
        for whose, problem in goods_problems(script, evidence.goods):
            verdict.wrong.setdefault(whose, []).append(problem)
    for (reason, key), problem in _letter_problems(script, evidence.observed):
        verdict.wrong.setdefault(key, []).append(f"dead letter {reason}: {problem}")
    return verdict


def _order_problems(scripted: ScriptedOrder, evidence: Evidence, ledger: list[LedgerEntry]) -> list[str]:
    order = evidence.orders.get(OrderId(scripted.order_id))
    if order is None:
        return ["not in the database"]
    problems = []
    if order.status != scripted.story.outcome:
        problems.append(f"status {order.status}, not {scripted.story.outcome}")
    if len(order.attempts) != len(scripted.story.ends):
        problems.append(f"{len(order.attempts)} attempts, not {len(scripted.story.ends)}")
    for attempt, end in zip(order.attempts, scripted.story.ends, strict=False):
        problems += _attempt_problems(scripted, attempt, end)
        problems += _money_problems(scripted, attempt, end, ledger)
    if ledger:
        problems.append(f"{counted(len(ledger), 'more transaction')} at the gateway")
    problems += _topic_problems(scripted, evidence.observed)
    return problems


def _attempt_problems(scripted: ScriptedOrder, attempt: Attempt, end: End) -> list[str]:
    problems = []
    if attempt.failure_code != end.failure:
        problems.append(f"attempt {attempt.number}: failure code {attempt.failure_code}, not {end.failure}")
    total = scripted.total_minor
    if end.money is Money.KEPT_NOT:
        kept = attempt.kept_minor + attempt.held_minor
        return [*problems, f"attempt {attempt.number}: {kept} kept or held"] if kept else problems
    taken = total if end.money in {Money.TAKEN, Money.REFUNDED, Money.REFUNDED_IN_PART} else 0
    back = {Money.REFUNDED: total, Money.REFUNDED_IN_PART: scripted.part_minor}.get(end.money, 0)
    if (attempt.captured_minor, attempt.refunded_minor, attempt.held_minor) != (taken, back, 0):
        problems.append(
            f"attempt {attempt.number}: {attempt.captured_minor} captured, {attempt.refunded_minor} refunded, "
            f"{attempt.held_minor} held in the database, not {taken}, {back}, 0"
        )
    return problems


def _money_problems(scripted: ScriptedOrder, attempt: Attempt, end: End, ledger: list[LedgerEntry]) -> list[str]:
    """Compare an attempt with its transactions at the gateway, and take those out of the ledger."""
    asked = operation_id(OrderId(scripted.order_id), attempt.number, OperationKind.AUTHORIZE, 1)
    own = [entry for entry in ledger if entry.operation_id == str(asked)]
    for entry in own:
        ledger.remove(entry)
    effects = [effect for entry in own for effect in entry.effects if effect.amount_minor or effect.kind != "cancel"]
    kinds = tuple(effect.kind for effect in sorted(effects, key=lambda effect: effect.at))
    amounts = {effect.amount_minor for effect in effects}
    wanted = NOTHING_KEPT if end.money is Money.KEPT_NOT else (EFFECTS[end.money],)
    if sorted(kinds) not in [sorted(one) for one in wanted]:
        done = ", ".join(kinds) or "nothing"
        allowed = " or ".join(", ".join(one) or "nothing" for one in wanted)
        return [f"attempt {attempt.number}: the gateway did {done}, not {allowed}"]
    part = {scripted.part_minor} if end.money is Money.REFUNDED_IN_PART else set()
    if amounts and amounts != {scripted.total_minor} | part:
        return [f"attempt {attempt.number}: the gateway moved {sorted(amounts)}, not {scripted.total_minor}"]
    return []


def _topic_problems(scripted: ScriptedOrder, observed: Observed) -> list[str]:
    marks = observed.marks(scripted.order_id)
    problems = [
        f"no {_words(mark)} on its topic"
        for mark in sorted(scripted.story.events - set(marks), key=lambda mark: mark[:2])
    ]
    counted = Counter(marks)
    for mark, count in counted.items():
        if mark not in scripted.story.events | scripted.story.possible:
            problems.append(f"{_words(mark)} on its topic, which the script does not have")
        elif count > 1:
            problems.append(f"{count} different {_words(mark)} on its topic")
    return problems


def _words(mark: tuple[str, int, str | None]) -> str:
    event_type, attempt, code = mark
    return f"{event_type} of attempt {attempt}" + (f" ({code})" if code else "")


def _letter_problems(script: Script, observed: Observed) -> list[tuple[tuple[str, str], str]]:
    missing = [(letter, "not on its topic") for letter in script.letters if letter not in observed.letters]
    return missing + [(letter, "not in the script") for letter in observed.letters if letter not in script.letters]
