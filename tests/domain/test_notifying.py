"""The message that is made of a request for one."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.case import Case
from domain.decision import Notification
from domain.notifying import notify
from domain.rules import Rules
from tests.domain.builders import context, order
from tests.schemas import builders as events

DAY = timedelta(seconds=Rules().notification_max_age_s)


@pytest.mark.parametrize(
    ("age", "left", "stale"),
    [(timedelta(0), DAY, False), (timedelta(hours=1), DAY - timedelta(hours=1), False), (DAY * 2, -DAY, True)],
)
def test_a_message_is_useful_for_a_day_from_its_request(age: timedelta, left: timedelta, *, stale: bool) -> None:
    now = context().at
    (made,) = notified(now - age)
    assert (made.send_until, made.stale) == (now + left, stale)


def test_a_request_from_the_end_of_the_calendar_lasts_no_longer_than_one_of_now() -> None:
    (made,) = notified(datetime.max.replace(tzinfo=UTC))
    assert (made.send_until, made.stale) == (context().at + DAY, False)


def notified(occurred_at: datetime) -> tuple[Notification, ...]:
    event = events.customer_notification_requested(occurred_at=occurred_at)
    return notify(Case(order(), context(), "", event)).notifications
