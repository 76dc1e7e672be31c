"""A refund of ours that failed, and whose payment others refunded, too: the gateway is asked until it is booked."""

from datetime import timedelta

from consumers.runtime.sweep.refunds import notice_of
from domain.news import RefundFailure
from tests.domain.builders import AT, ORDER_ID

FAILURE = RefundFailure(ORDER_ID, "op-1", "re_1", 1_000, "lost")


def test_the_gateway_is_asked_about_a_failed_refund_once_a_day_until_it_is_booked() -> None:
    today = notice_of(FAILURE, "pi_1", AT)
    again = notice_of(FAILURE, "pi_1", AT + timedelta(seconds=1))
    tomorrow = notice_of(FAILURE, "pi_1", AT + timedelta(days=1))

    assert today.notice_id == again.notice_id, "a notice is kept once"
    assert tomorrow.notice_id != today.notice_id, "an answer that lags ends the first one as known"
    assert (today.object_id, today.intent_id) == (tomorrow.object_id, tomorrow.intent_id) == ("re_1", "pi_1")
