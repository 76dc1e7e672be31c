"""The objectives: 99 % of orders have their first outcome within a minute, and nothing is unknown for over an hour.

The first is watched by burn rates: how many times faster than allowed the permitted 1 % is used up. A long window shows
that it matters, a short one that it still goes on. A time that waited for the customer or a bank is not ours.
"""

from typing import Final, NamedTuple

from deploy.alerts.alert import Alert, Severity

ALLOWED: Final = 0.01
"""Share of orders that may be late."""
LATE_MIN: Final = 5
"""Fewer late orders than this in the long window are no rate; `PaymentsOrderOld` tells of single ones."""

_TIMES: Final = "payments_order_outcome_seconds"


class Burn(NamedTuple):
    """A burn rate: so many times the allowed share, in both windows."""

    suffix: str
    times: float
    long: str
    short: str
    for_s: int
    severity: Severity


BURNS: Final = (
    Burn("Fast", 14.4, "1h", "5m", 120, Severity.PAGE),
    Burn("Slow", 6, "6h", "30m", 900, Severity.PAGE),
    Burn("Day", 3, "1d", "2h", 3600, Severity.TICKET),
    Burn("ThreeDays", 1, "3d", "6h", 10800, Severity.TICKET),
)


def _share(window: str) -> str:
    in_time = f'sum(rate({_TIMES}_bucket{{waited="no",le="<60.0>"}}[{window}]))'
    return f'(1 - {in_time} / sum(rate({_TIMES}_count{{waited="no"}}[{window}])))'


def _late(window: str) -> str:
    in_time = f'sum(increase({_TIMES}_bucket{{waited="no",le="<60.0>"}}[{window}]))'
    return f'(sum(increase({_TIMES}_count{{waited="no"}}[{window}])) - {in_time})'


def _burning(burn: Burn) -> Alert:
    bound = f"{burn.times * ALLOWED:g}"
    return Alert(
        name=f"PaymentsOutcomesLate{burn.suffix}",
        expression=(
            f"{_share(burn.long)} > {bound} and {_share(burn.short)} > {bound} and {_late(burn.long)} >= {LATE_MIN}"
        ),
        for_s=burn.for_s,
        severity=burn.severity,
        summary=(
            f"For {burn.long}, and still in the last {burn.short}, more than {burn.times:g} % of orders had no outcome "
            "within a minute; 1 % may be late."
        ),
        look=(
            "sum by (topic) (max by (group, topic) (payments_consumer_lag_seconds))",
            "max(payments_outbox_oldest_age_seconds)",
            "histogram_quantile(0.99, sum by (le, operation) (rate(payments_gateway_call_seconds_bucket[5m])))",
            "histogram_quantile(0.99, sum by (le) (rate(payments_database_transaction_seconds_bucket[5m])))",
            "payments order list --status confirmed",
        ),
        todo=(
            "Find which of the four is slow: consumers (lag), the relay (outbox), the gateway, or the database. Add "
            "consumers if the lag grows while their machines are busy; else mend what is slow."
        ),
        over=f"Less than {burn.times:g} % of the orders of the last {burn.short} are late.",
        twin="PaymentsConsumersAbsent",
    )


OBJECTIVES: Final = (
    *(_burning(burn) for burn in BURNS),
    Alert(
        name="PaymentsOperationUnknown",
        expression="max(payments_operation_unknown_oldest_age_seconds) > <3600>",
        for_s=60,
        severity=Severity.PAGE,
        summary="For more than an hour nobody knows whether a call had its effect.",
        look=(
            'sum by (operation) (max by (operation, state) (payments_operations_unfinished{state="unknown"}))',
            "payments order list",
            "payments order show ID",
        ),
        todo=(
            "See whether the gateway, or the inventory elsewhere, answers look-ups. If it does not, ask its support. "
            "The look-up goes on by itself; after 23 hours the order goes to a person. Send no second payment by hand."
        ),
        over="The oldest unknown operation is younger than an hour.",
        twin="PaymentsDatabaseNumbersAbsent",
    ),
)
