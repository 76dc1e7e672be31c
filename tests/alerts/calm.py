"""Four days in which nothing is wrong, though much comes near: no alert fires, also none with a window of days."""

from typing import Final

from tests.alerts.cases import LONG_STEP, Series, calls, outcomes, swept

STEPS: Final = 1152
WHEN: Final = {1: ("30m", "90m"), LONG_STEP: ("7h", "1d2h", "3d4h", "3d23h")}
"""When the alerts must be silent, by the minutes between two values: four days of the long ones, hours of the short."""


def _always(value: int) -> str:
    return f"{value}x{STEPS}"


def _grows(by: str) -> str:
    return f"0+{by}x{STEPS}"


CALM: Final[Series] = {
    # A process that rang long ago, a relay that stands by, one order in two hundred that is late.
    'payments_process_info{instance="consume-0",version="0.2.0",roles="consume"}': _always(1),
    'up{instance="consume-0"}': _always(1),
    'up{instance="of-another-program"}': _always(0),
    'payments_loop_turn_age_seconds{instance="consume-0"}': _always(100),
    'payments_consumer_joined{instance="consume-0",reaction="capture_payment"}': _always(1),
    'payments_breaker_open{instance="consume-0",edge="gateway"}': _always(0),
    'payments_orders_total{instance="consume-0",outcome="paid_and_confirmed",reason="none"}': _grows("1000"),
    'payments_alarms_total{instance="consume-0",reason="messages_lost"}': _always(3),
    'payments_alarms_total{instance="consume-0",reason="payment_disputed"}': _always(1),
    'payments_relay_active{instance="relay-0"}': _always(1),
    'payments_relay_active{instance="relay-1"}': _always(0),
    **outcomes(_grows("1000"), _grows("995")),
    **outcomes(_grows("100"), _grows("20"), "yes"),
    **calls("gateway", _grows("50"), _grows("950")),
    **calls("inventory", _grows("50"), _grows("950")),
    **swept("payments_order_unfinished_oldest_age_seconds", _always(800), 'waits_for="us"'),
    **swept("payments_order_unfinished_oldest_age_seconds", _always(250000), 'waits_for="bank"'),
    **swept("payments_operation_unknown_oldest_age_seconds", _always(3000)),
    **swept("payments_outbox_oldest_age_seconds", _always(50)),
    **swept("payments_consumer_lag_seconds", _always(250), 'group="payments.capture_payment",topic="ItemsReserved"'),
    **swept("payments_dead_letters_waiting", _always(0), 'event="OrderConfirmed",reason="undecodable"'),
    **swept("payments_quarantine_waiting", _always(0), 'kind="order"'),
    **swept("payments_reviews_open", _always(3), 'reason="refund_failed"'),
    **swept("payments_review_oldest_age_seconds", _always(14000)),
    **swept("payments_customer_messages", _always(100), 'state="waiting"'),
    **swept("payments_customer_messages", _always(0), 'state="given_up"'),
    **swept("payments_audit_violations", _always(0), 'invariant="7"'),
    **swept("payments_audit_age_seconds", _always(1700)),
    **swept("payments_readings_failed_total", _grows("0.2"), 'source="database"'),
}
