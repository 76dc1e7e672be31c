"""Whatever the door accepts can be carried to its end, whatever the gateway says and whatever there is in stock."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ids import OrderId
from domain.operation import OperationKind, idempotency_key
from domain.rules import Rules
from producers.unchecked import encode_unchecked
from schemas.codec import Codec
from schemas.events import Event
from schemas.fields import INT_MAX
from schemas.rejection import Rejected
from tests.door.life import Life
from tests.door.made_up import ANSWERS, STOCKS, clicks, forged, orders
from tests.schemas import builders

CODEC: Final = Codec()
EXAMPLES: Final = 400
PAUSES: Final = st.lists(st.sampled_from([1.0, 61.0, 901.0, 4_000.0, 90_000.0, 31 * 86_400.0]), max_size=4)
Fields = dict[str, Any]
SLOW: Final = [HealthCheck.too_slow, HealthCheck.data_too_large]


def admitted(event_type: str, fields: dict[str, Any], seen: Counter[str]) -> Event | None:
    """Bring it to the door as bytes; return what the door makes of it, None if it is refused."""
    key = str(fields["order_id"]).encode()
    try:
        event = CODEC.decode(event_type, key, encode_unchecked(event_type, fields))
    except Rejected as rejected:
        seen[rejected.reason] += 1
        return None
    # As the planner does, which has the clock.
    late = event.occurred_at > builders.AT + timedelta(seconds=Rules().clock_skew_max_s)
    seen["from the future" if late else "accepted"] += 1
    return None if late else event


def test_the_longest_idempotency_key_is_one_that_a_gateway_takes() -> None:
    longest = idempotency_key(OrderId("o" * 64), INT_MAX, max(OperationKind, key=len), INT_MAX)

    assert len(longest) <= 255
    assert longest.isascii()


@pytest.mark.timeout(600)
def test_whatever_the_door_accepts_comes_to_its_end_without_an_exception() -> None:
    seen: Counter[str] = Counter()

    @given(
        said=st.tuples(orders(builders.AT, "order-1"), orders(builders.AT, "order-2")),
        clicked=st.lists(clicks(builders.AT, "order-1", "1"), max_size=2),
        strange=st.lists(forged(builders.AT, "order-1"), max_size=2),
        answers=st.lists(ANSWERS, max_size=8),
        stock=STOCKS,
        pauses=PAUSES,
    )
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=SLOW)
    def holds(
        said: Sequence[Fields],
        clicked: Sequence[Fields],
        strange: Sequence[Event],
        answers: Any,
        stock: Any,
        pauses: Any,
    ) -> None:
        life = Life(builders.AT, stock, answers)
        for fields in said:
            if event := admitted("OrderConfirmed", fields, seen):
                life.accept(event)
        life.run(pauses)
        for event in strange:
            life.accept(event)
        for fields in clicked:
            if event := admitted("PaymentRetryRequested", fields, seen):
                life.accept(event)
        life.run(())
        life.check_shelf()
        seen.update(order.status for order in life.orders.values())
        seen.update(event.TYPE for event in life.told)

    holds()
    wanted = {
        *("accepted", "invalid_field", "paid_and_confirmed", "payment_failed"),
        *("ItemsReserved", "ReservationFailed", "PaymentVoided", "CustomerNotificationRequested"),
    }
    assert wanted <= seen.keys(), f"the examples are too tame: {wanted - seen.keys()} never happened"
    assert seen["accepted"] > EXAMPLES // 3
