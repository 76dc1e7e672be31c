"""The twins: alerts that fire when what others read is not exported. Without them, silence would look like health."""

from typing import Final, NamedTuple

from deploy.alerts.alert import Alert, Severity


class Absence(NamedTuple):
    """A twin. needs: metrics that always have a value while their exporter works.

    The alert's label `metric` names what is missing.
    """

    name: str
    needs: tuple[str, ...]
    for_s: int
    severity: Severity
    summary: str
    todo: str


ABSENCES: Final = (
    Absence(
        "PaymentsAbsent",
        ("payments_process_info", "payments_loop_turn_age_seconds"),
        300,
        Severity.PAGE,
        "No process of payments is scraped.",
        "Start the processes; set PAYMENTS_METRICS_LISTEN; see Prometheus' page of targets.",
    ),
    Absence(
        "PaymentsConsumersAbsent",
        ("payments_consumer_joined", "payments_breaker_open", "payments_orders_total"),
        300,
        Severity.PAGE,
        "No consumer is scraped: {{ $labels.metric }} is missing.",
        "Start `payments consume all` and see its log; see Prometheus' page of targets.",
    ),
    Absence(
        "PaymentsRelayAbsent",
        ("payments_relay_active",),
        300,
        Severity.PAGE,
        "No relay is scraped: events wait in the outbox.",
        "Start `payments relay` and see its log; see Prometheus' page of targets.",
    ),
    Absence(
        "PaymentsSweepAbsent",
        ("payments_readings_failed_total",),
        300,
        Severity.PAGE,
        "No sweep is scraped: due and unknown operations are not looked at.",
        "Start `payments sweep` and see its log; see Prometheus' page of targets.",
    ),
    Absence(
        "PaymentsDatabaseNumbersAbsent",
        (
            "payments_order_unfinished_oldest_age_seconds",
            "payments_operation_unknown_oldest_age_seconds",
            "payments_outbox_oldest_age_seconds",
            "payments_review_oldest_age_seconds",
            "payments_customer_messages",
        ),
        600,
        Severity.PAGE,
        "What the database knows is not exported: {{ $labels.metric }} is missing.",
        "Start a sweep if none runs. Else see its log for `metrics not read`, and bring the database back.",
    ),
    Absence(
        "PaymentsAuditAbsent",
        ("payments_audit_age_seconds", "payments_audit_violations"),
        1800,
        Severity.TICKET,
        "No audit of changed orders has ended: {{ $labels.metric }} is missing.",
        "See the sweep's log for `the audit of changed orders`.",
    ),
    Absence(
        "PaymentsLagAbsent",
        ("payments_consumer_lag_seconds",),
        600,
        Severity.PAGE,
        "What Kafka knows of the groups is not exported.",
        "Start a sweep if none runs. Else see its log for `metrics not read`, and bring Kafka back or grant Describe.",
    ),
)


def _alert(absence: Absence) -> Alert:
    missing = [f'label_replace(absent({name}), "metric", "{name}", "", "")' for name in absence.needs]
    return Alert(
        name=absence.name,
        expression=" or ".join(missing),
        for_s=absence.for_s,
        severity=absence.severity,
        summary=absence.summary,
        look=("up", *absence.needs),
        todo=absence.todo,
        over="The metric is scraped again.",
    )


TWINS: Final = tuple(_alert(absence) for absence in ABSENCES)
