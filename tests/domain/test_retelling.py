"""Random lives of which the database loses everything behind a random moment: the topics bring it back, and it goes on.

A life is cut, its database is the backup, what was said last is lost with the outbox, all processes are killed. The
events on the topics are told to the backup's order; then the life goes on with it to its end. The same must hold of
money, goods and events as of a life that was never cut.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from consumers.runtime.retelling import Laws, Retold, Story, Told, retell
from consumers.runtime.retelling.told import TEXTS
from domain.operation import OperationState
from domain.order import Status
from schemas import events as e
from tests.domain import test_machine, test_second_thoughts
from tests.domain.driver import RULES, Run
from tests.domain.lost import LAWS, Lost, lose
from tests.domain.second_thoughts import Life
from tests.domain.second_thoughts_elsewhere import LifeElsewhere
from tests.domain.test_second_thoughts_elsewhere import _check_goods as goods_elsewhere

STEPS: Final = 60
LIVES: Final = 1_200
CHUNK: Final = 200
SECOND_THOUGHTS: Final = 1_200
ELSEWHERE: Final = 400
STEPS_ELSEWHERE: Final = 120
FORGOTTEN: Final = range(1_000, 1_400)
"""Lives that are restored after two days. In some of them a refund is asked for anew that was made."""
DAYS_S: Final = 2 * 86_400
UNEXPLAINED_MAX: Final = 0.005
"""Such orders wait in quarantine: nothing is decided about them anew."""

MACHINE: Final = (
    test_machine._check_outcome,
    test_machine._check_money,
    test_machine._check_goods,
    test_machine._check_history,
)
THOUGHTS: Final = (
    test_second_thoughts.check_requests,
    test_second_thoughts.check_money,
    test_second_thoughts._check_goods,
    test_second_thoughts.check_history,
)
SEEN: Final[Counter[str]] = Counter()


def _check(
    run: Any, lost: Lost, found: Retold, quiet: Callable[[Any], None], checks: Sequence[Any], late_s: float = 0
) -> None:
    """Go on so much later, come to rest, and check; nothing that the world has heard is said otherwise."""
    assert found.story is not None
    published = {event.event_id: event for event in lost.published}
    lost.life.wait(late_s)
    life = lost.go_on(found.story)
    quiet(life)
    for check in checks:
        check(life)
    said_again = [event for event in life.journal if published.get(event.event_id, event) != event]
    assert said_again == [], "an event id with two bodies"
    assert set(published) <= {event.event_id for event in life.journal}
    SEEN["behind"] += any(event.order_version > (run.version if run else 0) for event in lost.published)
    SEEN["unsent decisions"] += len(lost.published) < len(lost.life.journal)
    SEEN["calls looked up"] += (
        any(o.state is OperationState.UNKNOWN for o in found.story.order.operations) if (found.story.order) else 0
    )


@pytest.mark.parametrize("first", range(0, LIVES, CHUNK))
def test_a_life_whose_database_was_restored_ends_as_well_as_any(first: int) -> None:
    for n in range(first, first + CHUNK):
        seed = f"life {n}"
        try:
            lost = lose(seed, Run, test_machine._step, STEPS)
            found = lost.retell()
            assert found.story is not None, f"no way behind version {found.reached}"
            assert found.strictly
            _check(lost.backup.order, lost, found, test_machine._quiet, MACHINE)
        except Exception as error:
            raise AssertionError(f"seed {seed!r} shows it again") from error


@pytest.mark.parametrize("first", range(0, SECOND_THOUGHTS, CHUNK))
def test_so_does_a_life_with_cancels_refunds_and_disputes(first: int) -> None:
    left = 0
    for n in range(first, first + CHUNK):
        seed = f"life {n}"
        try:
            lost = lose(seed, Life, test_second_thoughts.step, STEPS)
            found = lost.retell()
            if found.story is None:
                left += 1
                continue
            _check(lost.backup.order, lost, found, test_second_thoughts.quiet, THOUGHTS)
        except Exception as error:
            raise AssertionError(f"seed {seed!r} shows it again") from error
    assert left <= UNEXPLAINED_MAX * CHUNK, f"{left} of {CHUNK} would wait in quarantine"


def test_no_money_goes_back_twice_though_the_gateway_has_forgotten_all_keys_when_the_restore_is_done() -> None:
    made = 0
    for n in FORGOTTEN:
        seed = f"late {n}"
        try:
            lost = lose(seed, Life, test_second_thoughts.step, STEPS)
            found = lost.retell()
            if found.story is None:
                continue
            assert isinstance(lost.life, Life)
            made += len(lost.life.gateway.refunds)
            quiet, checks = test_second_thoughts.quiet, (test_second_thoughts.check_money,)
            _check(lost.backup.order, lost, found, quiet, checks, DAYS_S)
        except Exception as error:
            raise AssertionError(f"seed {seed!r} shows it again") from error
    assert made > len(FORGOTTEN) // 10, "the lives had refunds to make twice"


@pytest.mark.parametrize("first", range(0, ELSEWHERE, CHUNK))
def test_so_does_one_whose_goods_are_in_an_inventory_elsewhere(first: int) -> None:
    left = 0
    for n in range(first, first + CHUNK):
        seed = f"far {n}"
        try:
            lost = lose(seed, LifeElsewhere, _step_elsewhere, STEPS_ELSEWHERE)
            found = lost.retell()
            if found.story is None:
                left += 1
                continue
            _check(lost.backup.order, lost, found, _quiet_elsewhere, (*THOUGHTS[:2], THOUGHTS[3], goods_elsewhere))
        except Exception as error:
            raise AssertionError(f"seed {seed!r} shows it again") from error
    assert left <= UNEXPLAINED_MAX * CHUNK, f"{left} of {CHUNK} would wait in quarantine"


def _step_elsewhere(life: LifeElsewhere) -> None:
    often = {"act": 60, "deliver": 45, "settle": 14, "cancel": 0.6, "ask_refund": 3, "wait": 6, "sweep": 8}
    test_second_thoughts.step(life, often)


def _quiet_elsewhere(life: LifeElsewhere) -> None:
    test_second_thoughts.quiet(life)
    while life.late_stock:
        life.arrive()
    life.wait(100_000)  # whatever is still held by nobody's wish has run out
    life.far.lapse()


def test_the_lives_had_much_to_lose() -> None:
    if not SEEN:
        test_a_life_whose_database_was_restored_ends_as_well_as_any(0)
    assert min(SEEN[name] for name in ("behind", "unsent decisions")) > CHUNK // 20, SEEN


def test_an_event_that_no_rule_can_have_said_is_not_explained() -> None:
    lost = next(one for one in (lose(f"life {n}", Run, test_machine._step, STEPS) for n in range(100)) if _is_paid(one))
    forged = [
        event.model_copy(update={"amount_minor": event.amount_minor + 1})
        if isinstance(event, e.PaidAndConfirmed)
        else event
        for event in lost.published
    ]
    story = Story(None)
    found = retell(story, Told(forged), lost.triggers, LAWS)
    assert found.story is None


def _is_paid(lost: Lost) -> bool:
    return lost.backup.order is None and any(isinstance(event, e.PaidAndConfirmed) for event in lost.published)


def test_other_words_of_another_release_are_taken_as_they_were_told() -> None:
    lost = next(one for one in (lose(f"life {n}", Run, test_machine._step, STEPS) for n in range(100)) if _failed(one))
    other = [
        event.model_copy(update={"reason": "Try again."}) if isinstance(event, e.PaymentFailed) else event
        for event in lost.published
    ]
    found = retell(Story(None), Told(other), lost.triggers, Laws(LAWS.by_name, LAWS.by_trigger, RULES))
    assert found.story is not None
    assert not found.strictly
    assert "reason" in TEXTS
    assert found.story.order is not None
    assert found.story.order.version == lost.published[-1].order_version


def _failed(lost: Lost) -> bool:
    order = lost.life.order
    return lost.backup.order is None and order is not None and order.status is Status.PAYMENT_FAILED
