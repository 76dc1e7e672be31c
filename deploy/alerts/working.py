"""Alerts on what processes do, and on the alarms that they ring."""

from typing import Final

from deploy.alerts.alert import Alert, Severity, grew
from deploy.metrics.metric import OTHER
from domain.alarms import ALARMS
from schemas.rejection import Reason

PAGED: Final = (
    "dependency_down",
    "lock_held",
    "kafka_down",
    "transaction_open",
    "gateway_forbids",
    "preparation_of_cancelled",
    "contradiction",
    "produce_refused",
    "topic_stalled",
    "clock_wrong",
    "inbox_days",
    "newer_schema",
    "topic_missing",
    "topic_made_anew",
    "messages_lost",
    "bug",
    Reason.UNREADABLE.value,
)
"""Alarms for which somebody gets up: orders wait, or money and goods may go wrong meanwhile."""
EDGES: Final = ("gateway_down", "inventory_down")
LOOKED_AT: Final = tuple(
    reason
    for reason in ALARMS
    if reason not in {*PAGED, *EDGES, "message_given_up", "audit_broken"}
    and not reason.startswith("review_")
    and reason not in {r.value for r in Reason}
)
"""Alarms that can wait for the morning. Those that other alerts tell by their numbers are left out."""


def _alarms(name: str, severity: Severity, reasons: tuple[str, ...]) -> Alert:
    more = (OTHER,) if severity is Severity.TICKET else ()
    series = f'payments_alarms_total{{reason=~"{"|".join((*reasons, *more))}"}}'
    return Alert(
        name=name,
        expression=f"sum by (reason) ({grew(series, '15m')}) > 0",
        for_s=0,
        severity=severity,
        summary="An alarm rings: {{ $labels.reason }}. Its line in the log has alarm=true, the ids, and what to do.",
        look=("sum by (reason) (increase(payments_alarms_total[15m]))",),
        todo="Find the line in the log by its reason; it has a section of its own in alarms.md.",
        over="It has not rung for 15 minutes. While its cause lasts, it rings every ten minutes.",
        twin="PaymentsAbsent",
        reasons=reasons,
        page="alarms.md",
    )


def _refusing(edge: str, whose: str) -> Alert:
    calls = f"payments_{edge}_calls_total"
    bad = f'sum(rate({calls}{{asked="call",outcome=~"unknown|not_executed"}}[10m]))'
    return Alert(
        name=f"Payments{edge.title()}Errors",
        expression=(
            f'{bad} / sum(rate({calls}{{asked="call"}}[10m])) > 0.2'
            f' and sum(increase({calls}{{asked="call"}}[10m])) > 20'
        ),
        for_s=300,
        severity=Severity.PAGE,
        summary=f"More than a fifth of the calls at {whose} come to no result.",
        look=(
            f"sum by (operation, outcome) (rate({calls}[10m]))",
            f"histogram_quantile(0.99, sum by (le, operation) (rate(payments_{edge}_call_seconds_bucket[10m])))",
        ),
        todo=f"See the status of {whose}, and the log for the reason of refusals. Calls are tried again by themselves.",
        over="Less than a fifth of the calls come to no result.",
        twin="PaymentsConsumersAbsent",
    )


_AUTHORIZED: Final = 'payments_gateway_calls_total{operation="authorize",asked="call"'
"""Without its closing brace."""

WORKING: Final = (
    Alert(
        name="PaymentsBreakerOpen",
        expression="max by (edge) (payments_breaker_open) > 0",
        for_s=120,
        severity=Severity.PAGE,
        summary="No calls are made, for the other side is taken to be down: {{ $labels.edge }}.",
        look=("sum by (operation, outcome) (rate(payments_gateway_calls_total[5m]))", "payments config"),
        todo=(
            "See the gateway's status, or that of the inventory elsewhere; then the key or token and the address in "
            "the settings. The processes go on by themselves."
        ),
        over="The breaker is closed. For some seconds calls then come back gradually.",
        twin="PaymentsConsumersAbsent",
        reasons=EDGES,
    ),
    _refusing("gateway", "the gateway"),
    Alert(
        name="PaymentsDeclined",
        expression=(
            f'sum(rate({_AUTHORIZED},outcome="declined"}}[15m])) / sum(rate({_AUTHORIZED}}}[15m])) > 0.5'
            f' and sum(increase({_AUTHORIZED},outcome="declined"}}[15m])) > 20'
        ),
        for_s=300,
        severity=Severity.PAGE,
        summary="More than half of the payments are declined.",
        look=(
            'sum by (reason) (increase(payments_orders_total{outcome="payment_failed"}[15m]))',
            "payments order list --status payment_failed",
        ),
        todo=(
            "See by which code they fail. If it is one code of the gateway's, see its status and the account's "
            "settings in its dashboard. If many small orders fail, somebody tries stolen cards: have checkout stop "
            "them."
        ),
        over="Less than half of the payments are declined.",
        twin="PaymentsConsumersAbsent",
    ),
    _refusing("inventory", "the inventory elsewhere"),
    Alert(
        name="PaymentsRelayIdle",
        expression="max(payments_relay_active) < 1",
        for_s=120,
        severity=Severity.PAGE,
        summary="Relays run, and none of them sends.",
        look=("payments_relay_active", "max(payments_outbox_oldest_age_seconds)"),
        todo=(
            "See the relays' logs: each waits for PostgreSQL or Kafka, or for a lock that another session holds. End "
            "that session if its process is dead."
        ),
        over="One relay sends.",
        twin="PaymentsRelayAbsent",
    ),
    Alert(
        name="PaymentsConsumerOutside",
        expression="max by (reaction) (payments_consumer_joined) < 1",
        for_s=300,
        severity=Severity.PAGE,
        summary="No process has joined the group of {{ $labels.reaction }}.",
        look=("payments_consumer_joined", "payments topics create --help"),
        todo="See the consumers' logs: Kafka refuses them, or a topic is missing. Alarms beside this one say which.",
        over="A process has joined the group.",
        twin="PaymentsConsumersAbsent",
    ),
    Alert(
        name="PaymentsLoopStands",
        expression="max by (instance) (payments_loop_turn_age_seconds) > <120>",
        for_s=60,
        severity=Severity.TICKET,
        summary="A loop of {{ $labels.instance }} has made no turn for two minutes.",
        look=("payments_loop_turn_age_seconds",),
        todo="Ask the process' `/live`, which names the loop. Keep its log and restart it: others take over its work.",
        over="All loops turn.",
        twin="PaymentsAbsent",
    ),
    Alert(
        name="PaymentsProcessSilent",
        expression="max by (job, instance) (up == 0 and on (job, instance) max_over_time(payments_process_info[1h]))",
        for_s=300,
        severity=Severity.TICKET,
        summary="Prometheus looks for {{ $labels.instance }}, which answered within the last hour, and gets no answer.",
        look=("up", "payments_process_info"),
        todo=(
            "See whether the process runs. If it does and is silent, it hangs or is frozen: keep its log, and restart "
            "it. If it ends again and again, its log says why. Others go on with its work meanwhile."
        ),
        over="It answers, or Prometheus looks for it no more. An hour after its last answer the alert ends by itself.",
        twin="PaymentsAbsent",
    ),
    Alert(
        name="PaymentsReadingsFail",
        expression="max by (source) (increase(payments_readings_failed_total[10m])) > 3",
        for_s=300,
        severity=Severity.TICKET,
        summary="The numbers of this source cannot be read: {{ $labels.source }}. Alerts on them are blind.",
        look=("increase(payments_readings_failed_total[10m])", "max by (source) (payments_reading_seconds)"),
        todo="See the sweep's log for `metrics not read`. Bring the source back, or grant what the line names.",
        over="The source is read again.",
        twin="PaymentsSweepAbsent",
    ),
    _alarms("PaymentsAlarmPage", Severity.PAGE, PAGED),
    _alarms("PaymentsAlarmTicket", Severity.TICKET, LOOKED_AT),
)
