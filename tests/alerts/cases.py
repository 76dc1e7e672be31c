"""For each alert, series for which it must fire, and series that come near and for which it must not.

Series are in promtool's words: `800x20` is 800, and then twenty times more, a minute apart; `0+60x20` grows by 60.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from deploy.alerts.absences import ABSENCES
from deploy.alerts.objectives import BURNS

Series = Mapping[str, str]


class Case(NamedTuple):
    """fires: the labels of each alert that must fire, without its severity; empty: none must.

    step: minutes between two values of a series.
    """

    what: str
    alert: str
    series: Series
    at: str
    fires: tuple[Mapping[str, str], ...] = ()
    step: int = 1


LONG_STEP: Final = 5
"""For windows of hours and days: a minute would have promtool read hundreds of millions of values."""
ONCE: Final[tuple[Mapping[str, str], ...]] = ({},)
_TIMES: Final = "payments_order_outcome_seconds"
_SWEEPS: Final = ("sweep-0", "sweep-1")


def outcomes(all_orders: str, in_time: str, waited: str = "no") -> dict[str, str]:
    """Return the series of times to the outcome."""
    labels = f'outcome="paid_and_confirmed",waited="{waited}"'
    return {f"{_TIMES}_count{{{labels}}}": all_orders, f'{_TIMES}_bucket{{{labels},le="60.0"}}': in_time}


def swept(metric: str, values: str, labels: str = "") -> dict[str, str]:
    """Return the same series of two sweeps: an alert must fire once."""
    more = f",{labels}" if labels else ""
    return {f'{metric}{{instance="{sweep}"{more}}}': values for sweep in _SWEEPS}


def calls(edge: str, bad: str, good: str) -> dict[str, str]:
    """Return the series of the calls at an edge."""
    of = f"payments_{edge}_calls_total"
    return {
        f'{of}{{operation="capture",asked="call",outcome="unknown"}}': bad,
        f'{of}{{operation="capture",asked="call",outcome="approved"}}': good,
    }


def _burning() -> Iterator[Case]:
    """Late orders of 1,000 a minute, as a share that one alert knows and the next sharper one does not."""
    late = {"Fast": 200, "Slow": 80, "Day": 40, "ThreeDays": 20}
    steps = {"Fast": 90, "Slow": 84, "Day": 340, "ThreeDays": 940}
    sharper = None
    for burn in BURNS:
        length, name = steps[burn.suffix], f"PaymentsOutcomesLate{burn.suffix}"
        step = 1 if burn.suffix == "Fast" else LONG_STEP
        good = 1000 - late[burn.suffix]
        series = outcomes(f"0+1000x{length}", f"0+{good}x{length}")
        at = f"{length * step}m"
        yield Case(f"{late[burn.suffix] / 10:g} % of the orders are late", name, series, at, ONCE, step)
        if sharper is not None:
            yield Case(f"so few are late that {sharper} is silent", sharper, series, at, step=step)
        over = outcomes(f"0+1000x{length + 80}", f"0+{good}x{length} {good * length + 1000}+1000x80")
        yield Case("it is over in the short window", name, over, f"{(length + 79) * step}m", step=step)
        sharper = name


def _near_the_objective() -> Iterator[Case]:
    fast = "PaymentsOutcomesLateFast"
    yield Case("four late orders are no rate", fast, outcomes("0x10 4x60", "0x70"), "40m")
    yield Case("for too short a time", fast, outcomes("0+1000x60", "0+500x60"), "2m")
    yield Case("the customer had to act", fast, outcomes("0+1000x60", "0+100x60", "yes"), "40m")
    yield Case("no order at all", fast, outcomes("1000x60", "1000x60"), "40m")


def _above(
    alert: str,
    metric: str,
    values: tuple[int, int],
    labels: str = "",
    fires: Mapping[str, str] | None = None,
    for_min: int = 5,
) -> Iterator[Case]:
    """Have a value that is too high, one that is just not, and one that is too high for too short a time."""
    high, low = values
    yield Case(f"{high}", alert, swept(metric, f"{high}x30", labels), "20m", (fires or {},))
    yield Case(f"{low}", alert, swept(metric, f"{low}x30", labels), "20m")
    if for_min:
        yield Case(f"{high}, for too short a time", alert, swept(metric, f"{low}x10 {high}x20", labels), "11m")


def _standing() -> Iterator[Case]:
    oldest = "payments_order_unfinished_oldest_age_seconds"
    yield from _above("PaymentsOrderOld", oldest, (950, 850), 'waits_for="us"')
    yield from _above("PaymentsOrderOldest", oldest, (3700, 3500), 'waits_for="us"')
    yield Case("it waits for a bank", "PaymentsOrderOld", swept(oldest, "90000x30", 'waits_for="bank"'), "20m")
    yield from _above(
        "PaymentsOperationUnknown", "payments_operation_unknown_oldest_age_seconds", (3700, 3500), for_min=1
    )
    yield from _above("PaymentsOutboxOld", "payments_outbox_oldest_age_seconds", (70, 50))
    place = {"group": "payments.capture_payment", "topic": "ItemsReserved"}
    labels = ",".join(f'{name}="{value}"' for name, value in place.items())
    yield from _above("PaymentsLag", "payments_consumer_lag_seconds", (310, 290), labels, place)
    letter = {"event": "OrderConfirmed", "reason": "undecodable"}
    yield from _above(
        "PaymentsDeadLetters",
        "payments_dead_letters_waiting",
        (1, 0),
        'event="OrderConfirmed",reason="undecodable"',
        letter,
        0,
    )
    yield from _above("PaymentsQuarantine", "payments_quarantine_waiting", (1, 0), 'kind="order"', {"kind": "order"}, 0)
    yield from _above("PaymentsMessagesGivenUp", "payments_customer_messages", (1, 0), 'state="given_up"', None, 0)
    yield Case(
        "they wait to be sent",
        "PaymentsMessagesGivenUp",
        swept("payments_customer_messages", "900x30", 'state="waiting"'),
        "20m",
    )
    yield from _above(
        "PaymentsAuditFindings", "payments_audit_violations", (1, 0), 'invariant="7"', {"invariant": "7"}, 0
    )
    yield from _above("PaymentsAuditOld", "payments_audit_age_seconds", (1900, 1700))
    reviews = swept("payments_reviews_open", "2x30", 'reason="refund_failed"')
    age = "payments_review_oldest_age_seconds"
    yield Case(
        "one is old",
        "PaymentsReviewsOld",
        {**reviews, **swept(age, "14500x30")},
        "20m",
        ({"reason": "review_refund_failed"},),
    )
    yield Case("they are young", "PaymentsReviewsOld", {**reviews, **swept(age, "14300x30")}, "20m")
    young = {**reviews, **swept(age, "14300x10 14500x20")}
    yield Case("for too short a time", "PaymentsReviewsOld", young, "12m")
    yield Case("there are none", "PaymentsReviewsOld", swept(age, "0x30"), "20m")


def _working() -> Iterator[Case]:
    breaker = "payments_breaker_open"
    yield from _above("PaymentsBreakerOpen", breaker, (1, 0), 'edge="gateway"', {"edge": "gateway"}, 2)
    for edge in ("gateway", "inventory"):
        alert = f"Payments{edge.title()}Errors"
        yield Case("a quarter is unknown", alert, calls(edge, "0+10x30", "0+30x30"), "20m", ONCE)
        yield Case("a tenth is unknown", alert, calls(edge, "0+2x30", "0+18x30"), "20m")
        yield Case("for too short a time", alert, calls(edge, "0+10x30", "0+30x30"), "4m")
        yield Case("so few calls say nothing", alert, calls(edge, "0 1x30", "0x31"), "10m")
    yield from _declined()
    relays = ('payments_relay_active{instance="relay-0"}', 'payments_relay_active{instance="relay-1"}')
    yield Case("both stand by", "PaymentsRelayIdle", dict.fromkeys(relays, "0x30"), "20m", ONCE)
    yield Case("one stands by", "PaymentsRelayIdle", dict(zip(relays, ("0x30", "1x30"), strict=True)), "20m")
    yield Case("one has just ended", "PaymentsRelayIdle", {relays[0]: "1x10 0x20"}, "12m")
    joined = 'payments_consumer_joined{{instance="{}",reaction="capture_payment"}}'
    yield Case(
        "it is in no group",
        "PaymentsConsumerOutside",
        {joined.format(1): "0x30"},
        "20m",
        ({"reaction": "capture_payment"},),
    )
    yield Case(
        "another process is", "PaymentsConsumerOutside", {joined.format(1): "0x30", joined.format(2): "1x30"}, "20m"
    )
    yield Case("it has just left", "PaymentsConsumerOutside", {joined.format(1): "1x10 0x20"}, "13m")
    turn = 'payments_loop_turn_age_seconds{instance="relay-0"}'
    yield Case("it hangs", "PaymentsLoopStands", {turn: "130x30"}, "20m", ({"instance": "relay-0"},))
    yield Case("it is slow", "PaymentsLoopStands", {turn: "110x30"}, "20m")
    yield Case("for too short a time", "PaymentsLoopStands", {turn: "110x10 130x20"}, "11m")
    failed = 'payments_readings_failed_total{instance="sweep-0",source="kafka"}'
    yield Case("it fails", "PaymentsReadingsFail", {failed: "0+0.4x30"}, "25m", ({"source": "kafka"},))
    yield Case("it fails now and then", "PaymentsReadingsFail", {failed: "0+0.25x30"}, "25m")
    yield Case("for too short a time", "PaymentsReadingsFail", {failed: "0x10 0+1x30"}, "16m")
    yield Case("it failed once", "PaymentsReadingsFail", {failed: "0x10 1x30"}, "18m")


def _declined() -> Iterator[Case]:
    alert, of = "PaymentsDeclined", 'payments_gateway_calls_total{{operation="{}",asked="call",outcome="{}"}}'
    declined, approved = of.format("authorize", "declined"), of.format("authorize", "approved")
    yield Case("six of ten", alert, {declined: "0+6x40", approved: "0+4x40"}, "30m", ONCE)
    yield Case("four of ten", alert, {declined: "0+4x40", approved: "0+6x40"}, "30m")
    yield Case("so few say nothing", alert, {declined: "0+1x40"}, "30m")
    yield Case("for too short a time", alert, {declined: "0x10 0+30x30", approved: "0+4x40"}, "13m")
    captures = {of.format("capture", "declined"): "0+9x40", approved: "0+9x40"}
    yield Case("captures are refused", alert, captures, "30m")


def _silent() -> Iterator[Case]:
    alert, labels = "PaymentsProcessSilent", 'job="payments",instance="consume-0"'
    up, info = f"up{{{labels}}}", f'payments_process_info{{{labels},version="0.2.0",roles="consume"}}'
    gone = {up: "1x10 0x120", info: "1x10 _x120"}
    yield Case("it answers no more", alert, gone, "20m", ({"job": "payments", "instance": "consume-0"},))
    yield Case("for too short a time", alert, gone, "13m")
    yield Case("more than an hour ago", alert, gone, "80m")
    yield Case("nobody looks for it any more", alert, {up: "1x10 _x120", info: "1x10 _x120"}, "20m")
    yield Case("it is not ours", alert, {f'{up[:-1]},process="x"}}': "0x120"}, "20m")


def _ringing() -> Iterator[Case]:
    alarm = 'payments_alarms_total{{instance="consume-0",reason="{}"}}'
    for alert, reason in (
        ("PaymentsAlarmPage", "messages_lost"),
        ("PaymentsAlarmTicket", "payment_disputed"),
        ("PaymentsAlarmTicket", "other"),
    ):
        fires = ({"reason": reason},)
        series = alarm.format(reason)
        yield Case(f"{reason} rings for the first time", alert, {series: "_x20 1x60"}, "25m", fires)
        yield Case(f"{reason} rings once more", alert, {series: "4x20 5x60"}, "25m", fires)
        yield Case(f"{reason} rang long ago", alert, {series: "_x20 1x60"}, "60m")
    yield Case("it can wait", "PaymentsAlarmPage", {alarm.format("payment_disputed"): "_x20 1x60"}, "25m")


def _absent() -> Iterator[Case]:
    for absence in ABSENCES:
        fires = tuple({"metric": name} for name in absence.needs)
        after = f"{absence.for_s // 60 + 1}m"
        yield Case("nothing is exported", absence.name, {"up": "1x60"}, after, fires)
        for name in absence.needs if len(absence.needs) > 1 else ():
            others = {other: "1x60" for other in absence.needs if other != name}
            yield Case(f"{name} alone is missing", absence.name, others, after, ({"metric": name},))
        yield Case("all is there", absence.name, dict.fromkeys(absence.needs, "1x60"), after)
        gone = dict.fromkeys(absence.needs, "1x10 _x60")
        yield Case("it is missing for too short a time", absence.name, gone, "16m")


CASES: Final = (
    *_burning(),
    *_near_the_objective(),
    *_standing(),
    *_working(),
    *_silent(),
    *_ringing(),
    *_absent(),
)
