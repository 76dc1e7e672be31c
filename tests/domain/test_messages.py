"""What a delivery makes of a message to a customer."""

from datetime import timedelta

from domain.decision import Notification
from domain.messages import (
    AGAIN_MAX_S,
    AGAIN_MIN_S,
    DOWN_AGAIN_S,
    TRIES_MAX,
    Message,
    MessageState,
    Never,
    NotNow,
    Sent,
    Settled,
    again_s,
    is_over,
    settle,
)
from domain.values import replace
from tests.messages.builders import AT, KEY, message

LEASE = AT + timedelta(seconds=60)
SOON = AT + timedelta(seconds=1)


def settled(state: MessageState, tries: int, **more: object) -> Settled:
    return replace(Settled(KEY, LEASE, state, tries), **more)


def test_a_message_that_was_taken_is_sent() -> None:
    assert settle(message(3), Sent(), SOON) == settled(MessageState.SENT, 3)


def test_a_refusal_for_good_gives_it_up_at_once() -> None:
    assert settle(message(), Never("RCPT: SMTP 550"), SOON) == settled(MessageState.GIVEN_UP, 1, error="RCPT: SMTP 550")


def test_another_refusal_is_tried_again_later_each_time() -> None:
    assert settle(message(), NotNow("busy"), SOON) == settled(
        MessageState.WAITING, 1, again_at=SOON + timedelta(seconds=AGAIN_MIN_S), error="busy"
    )
    pauses = [again_s(tries) for tries in range(1, TRIES_MAX)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (AGAIN_MIN_S, AGAIN_MAX_S)


def test_an_outage_counts_no_try() -> None:
    assert settle(message(7), NotNow("nobody there", down=True), SOON) == settled(
        MessageState.WAITING, 7, again_at=SOON + timedelta(seconds=DOWN_AGAIN_S), error="nobody there"
    )


def test_it_is_given_up_after_its_last_try_or_when_the_next_would_be_too_late() -> None:
    last = settle(message(TRIES_MAX - 1), NotNow("busy"), SOON)
    assert (last.state, last.tries, last.again_at) == (MessageState.GIVEN_UP, TRIES_MAX, None)
    late = settle(message(2), NotNow("busy"), AT + timedelta(days=1))
    assert late == settled(MessageState.GIVEN_UP, 3, error="busy; given up after 3 tries")


def claimed_after(made: Message, age: timedelta) -> Message:
    return replace(made, at=AT + age)


def test_one_that_nobody_tried_in_time_is_stale_and_one_that_was_tried_is_given_up() -> None:
    late = timedelta(days=1, seconds=1)
    assert is_over(claimed_after(message(), timedelta(days=1))) is None
    assert is_over(claimed_after(message(), late)) == settled(MessageState.STALE, 0)
    assert is_over(claimed_after(message(4), late)) == settled(MessageState.GIVEN_UP, 4, error="too old after 4 tries")


def test_a_message_has_nothing_personal() -> None:
    """Neither a name nor an address can be kept, for there is no field for one."""
    assert set(Notification.__struct_fields__) == {
        "key", "order_id", "customer_id", "kind", "text", "occurred_at", "stale", "send_until", "failure_code",
        "amount_minor", "currency", "money", "retryable", "retry_until", "missing",
    }  # fmt: skip
