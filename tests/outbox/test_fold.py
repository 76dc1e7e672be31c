"""The fold of what was said of an order gives the order, in thousands of moments of random lives.

And it is no check that cannot fail: whatever event is left out or altered, the two sides are not equal any more.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest

from domain.news import SeenRefund
from domain.outcome import ReturnedElsewhere
from domain.values import replace
from outbox.audit.rebuild.judge import Apart, Kind, judge
from outbox.audit.rebuild.state import FieldDifference, differences, read_state, write_state
from schemas import events as e
from tests.domain import test_machine, test_second_thoughts
from tests.domain.builders import TOTAL
from tests.domain.driver import Run
from tests.domain.second_thoughts import Life
from tests.domain.second_thoughts_elsewhere import LifeElsewhere
from tests.domain.told import news
from tests.domain.trouble import Trouble
from tests.outbox.rebuilding import folded, live_of, verdict_of

LIVES: Final = 40
ELSEWHERE: Final = {"act": 60, "deliver": 45, "settle": 14, "cancel": 0.6, "ask_refund": 3, "wait": 6, "sweep": 8}
SAY_NOTHING: Final = (e.CustomerNotificationRequested, e.CancellationRefused, e.RefundRefused, e.PaymentDisputeClosed)
"""The last events of a decision may be these: they say nothing of the state, and nobody misses the last one."""


def live_first(seed: str) -> Run:
    """Begin a life of test_machine."""
    return Run(Random(seed))


def live_second(seed: str) -> Run:
    """Begin a life of test_second_thoughts."""
    return Life(Random(seed))


def live_elsewhere(seed: str) -> Run:
    """Begin a life of test_second_thoughts_elsewhere."""
    return LifeElsewhere(Random(seed))


def live_on(run: Run, then: Callable[[Run], None]) -> None:
    """Live this life to its end; then: called after every step."""
    for _ in range(test_machine.STEPS):
        if isinstance(run, Life):
            test_second_thoughts.step(run, ELSEWHERE if isinstance(run, LifeElsewhere) else {})
        else:
            test_machine._step(run)
        then(run)
    if isinstance(run, Life):
        test_second_thoughts.quiet(run)
    else:
        test_machine._quiet(run)
    then(run)


@pytest.mark.parametrize("begin", [live_first, live_second, live_elsewhere])
def test_at_every_moment_of_a_life_its_events_tell_its_state_or_the_reason_why_not(begin: Callable[[str], Run]) -> None:
    seen: Counter[Any] = Counter()
    last, before = "", None

    def look(run: Run) -> None:
        nonlocal last, before
        if run.order is not None and run.order is not before:
            before = run.order
            verdict = verdict_of(run)
            assert verdict.kind is not Kind.DIFFERS, (seed, verdict)
            seen[verdict.reason or verdict.kind] += 1
            last = verdict.kind

    ends: Counter[str] = Counter()
    for n in range(LIVES):
        seed = f"fold {n}"
        live_on(begin(seed), look)
        ends[last] += 1
    assert ends[Kind.EQUAL] >= LIVES * 0.9, ends
    assert seen[Kind.EQUAL] > LIVES
    assert seen[Apart.UNDER_WAY] > LIVES


def test_without_any_one_event_of_a_life_the_two_sides_are_not_equal() -> None:
    tried: Counter[str] = Counter()
    for n in range(LIVES):
        run = live_second(f"fold {n}")
        live_on(run, lambda _: None)
        assert run.order is not None
        operations = {**run.history, **{o.operation_id: o for o in run.order.operations}}
        live = live_of(run.order, operations.values())
        last = {event.order_version: event.ordinal for event in run.journal}
        for event in run.journal:
            if isinstance(event, SAY_NOTHING) and 0 < event.ordinal == last[event.order_version]:
                continue
            rest = [other for other in run.journal if other is not event]
            verdict = judge("order-1", live, folded(*rest), deleted=False, refused=False)
            assert verdict.kind is Kind.DIFFERS, (n, event)
            tried[event.TYPE] += 1
    assert len(tried) > 12, tried


def test_an_altered_amount_or_reference_of_a_life_is_named() -> None:
    tried: Counter[str] = Counter()
    for n in range(LIVES):
        run = live_second(f"fold {n}")
        live_on(run, lambda _: None)
        if verdict_of(run).kind is not Kind.EQUAL:
            continue
        for place, event in enumerate(run.journal):
            for changed in _altered(event):
                journal = [*run.journal[:place], changed, *run.journal[place + 1 :]]
                before = folded(*run.journal).state
                after = folded(*journal)
                assert before is not None
                assert after.state is not None
                assert after.state != before or not after.opened, (n, event, changed)
                tried[event.TYPE] += 1
    assert tried.keys() >= {"PaymentAuthorized", "PaidAndConfirmed", "PaymentVoided", "PaymentRefunded"}, tried


def _altered(event: e.OwnEvent) -> list[e.OwnEvent]:
    match event:
        case e.PaymentRefunded():
            return [
                event.model_copy(update={"amount_minor": event.amount_minor + 1}),
                event.model_copy(update={"refund_id": "re_other"}),
            ]
        case e.PaymentVoided() | e.PaidAndConfirmed() | e.PaymentAuthorized():
            return [event.model_copy(update={"amount_minor": event.amount_minor + 1})]
        case _:
            return []


def test_a_state_is_read_as_it_was_written() -> None:
    run = live_second("fold 3")
    live_on(run, lambda _: None)
    state = folded(*run.journal).state
    assert state is not None
    assert read_state(write_state(state)) == state
    assert write_state(read_state(write_state(state))) == write_state(state)
    other = state._replace(version=state.version + 1)
    assert list(differences(state, other)) == [FieldDifference("version", state.version, state.version + 1)]
    assert str(FieldDifference("version", 2, 3)) == "version is 2, by the topics 3"


def test_a_refund_that_is_told_in_two_parts_has_one_id() -> None:
    """What a call had found was counted again when a refund of ours, which it was mistaken for, had failed."""
    play = Trouble()
    play.order = replace(play.order, version=0)
    play.ask("R-1", 1_000)
    first = play.call()
    play.approve()
    play.ask("R-2", TOTAL - 1_000)
    play.answer(ReturnedElsewhere(2_500, "re_9"))
    failed = SeenRefund("re_R-1_1", str(first.operation_id), "failed", 1_000, "EUR")
    assert play.fail_later(first, news(failed, SeenRefund("re_9", None, "succeeded", 2_500, "EUR")))

    told = folded(*play.events)

    assert play.told(e.PaymentRefunded, "refund_id") == ["re_R-1_1", "re_9", "re_9"]
    assert told.state is not None
    assert (told.state.attempts[0].refunded_minor, told.state.attempts[0].refund_ids) == (2_500, ("re_9",))
    assert not told.unclear


def test_what_of_a_refund_in_parts_is_left_after_it_has_failed_is_not_clear() -> None:
    """Two calls of ours had found money under the id of the newest refund of somebody else."""
    play = Trouble()
    play.order = replace(play.order, version=0)
    play.ask("R-1", 1_600)
    play.answer(ReturnedElsewhere(1_500, "re_9"))
    play.ask("R-2", 1_500)
    play.answer(ReturnedElsewhere(1_700, "re_9"))
    failed = SeenRefund("re_9", None, "failed", 1_500, "EUR")

    assert play.hear(failed, news(SeenRefund("re_8", None, "succeeded", 200, "EUR"), failed))

    assert play.told(e.PaymentRefunded, "refund_id") == ["re_9", "re_9"]
    assert folded(*play.events).unclear
