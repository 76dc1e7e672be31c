"""Alerts on what stands in the database and in Kafka. Every sweep exports the same, so rules take the maximum."""

from typing import Final

from deploy.alerts.alert import Alert, Severity
from domain.alarms import ALARMS
from schemas.rejection import Reason

LETTERS: Final = tuple(reason.value for reason in Reason if reason is not Reason.QUARANTINED)
REVIEWS: Final = tuple(reason for reason in ALARMS if reason.startswith("review_"))
_DATABASE: Final = "PaymentsDatabaseNumbersAbsent"
_OLDEST: Final = 'max(payments_order_unfinished_oldest_age_seconds{waits_for="us"})'
_LOOK_AT_OLD: Final = (
    "payments order list",
    "payments order show ID",
    'sum by (status) (max by (status, waits_for) (payments_orders_unfinished{waits_for="us"}))',
    "max by (group, topic) (payments_consumer_lag_seconds)",
)

STANDING: Final = (
    Alert(
        name="PaymentsOrderOld",
        expression=f"{_OLDEST} > <900>",
        for_s=300,
        severity=Severity.TICKET,
        summary="An order that waits for us has had no outcome for more than a quarter of an hour.",
        look=_LOOK_AT_OLD,
        todo=(
            "See in its timeline what it waits for. An operation with an unknown outcome is looked up by itself. If "
            "nobody works on it, its events are sent again by themselves."
        ),
        over="No order that waits for us is older than a quarter of an hour.",
        twin=_DATABASE,
        reasons=("stuck",),
    ),
    Alert(
        name="PaymentsOrderOldest",
        expression=f"{_OLDEST} > <3600>",
        for_s=300,
        severity=Severity.PAGE,
        summary="An order that waits for us has had no outcome for more than an hour.",
        look=_LOOK_AT_OLD,
        todo="As for PaymentsOrderOld. If many are old, consumers, relay or gateway stand still: look there.",
        over="No order that waits for us is older than an hour.",
        twin=_DATABASE,
    ),
    Alert(
        name="PaymentsOutboxOld",
        expression="max(payments_outbox_oldest_age_seconds) > <60>",
        for_s=300,
        severity=Severity.PAGE,
        summary="A message has waited in the outbox for more than a minute.",
        look=(
            "max(payments_relay_active)",
            "sum by (reason) (increase(payments_publish_refused_total[15m]))",
            "histogram_quantile(0.99, sum by (le) (rate(payments_publish_seconds_bucket[5m])))",
        ),
        todo=(
            "If no relay is active, start one and see its log. If a broker refuses messages, do what the alarm's line "
            "says. If Kafka is slow, bring its brokers back."
        ),
        over="The oldest message in the outbox is younger than a minute.",
        twin=_DATABASE,
    ),
    Alert(
        name="PaymentsLag",
        expression="max by (group, topic) (payments_consumer_lag_seconds) > <300>",
        for_s=300,
        severity=Severity.PAGE,
        summary="The group {{ $labels.group }} has left a message of {{ $labels.topic }} unread for over five minutes.",
        look=(
            "max by (group, topic) (payments_consumer_lag_messages)",
            "min by (reaction) (payments_consumer_joined)",
            "max by (edge) (payments_breaker_open)",
            "max by (edge) (payments_operations_open / payments_operations_open_max)",
        ),
        todo=(
            "Start the consumers of this topic if none runs. If the breaker is open, mend the gateway. If an alarm "
            "names a partition that waits, do what it says. If all are busy, add processes: at most one a partition."
        ),
        over="The first message that is not read is younger than five minutes.",
        twin="PaymentsLagAbsent",
    ),
    Alert(
        name="PaymentsDeadLetters",
        expression='max by (event, reason) (payments_dead_letters_waiting{reason!="quarantined"}) > 0',
        for_s=0,
        severity=Severity.TICKET,
        summary="Messages of {{ $labels.event }} are dead letters: {{ $labels.reason }}.",
        look=("payments dlq list", "payments dlq show ID"),
        todo="Mend the cause; then `payments dlq redrive ID`, or have the publisher send it anew.",
        over="Every letter is redriven or given up.",
        twin=_DATABASE,
        reasons=LETTERS,
        page="letters.md",
    ),
    Alert(
        name="PaymentsQuarantine",
        expression="max by (kind) (payments_quarantine_waiting) > 0",
        for_s=0,
        severity=Severity.PAGE,
        summary="Something raised an error here and waits in quarantine: {{ $labels.kind }}.",
        look=("payments dlq list --reason quarantined", "payments dlq show ID"),
        todo=ALARMS[Reason.QUARANTINED.value].todo,
        over="Nothing waits in quarantine.",
        twin=_DATABASE,
        reasons=(Reason.QUARANTINED.value,),
    ),
    Alert(
        name="PaymentsReviewsOld",
        expression=(
            'label_replace(max by (reason) (payments_reviews_open) > 0, "reason", "review_$1", "reason", "(.+)")'
            " and on () (max(payments_review_oldest_age_seconds) > <14400>)"
        ),
        for_s=300,
        severity=Severity.TICKET,
        summary="Orders wait for a person, one of them for more than four hours: {{ $labels.reason }}.",
        look=("payments order list --status manual_review", "payments order show ID"),
        todo="Settle the orders, the oldest first: `payments order resolve ID`.",
        over="No order has been under review for more than four hours.",
        twin=_DATABASE,
        reasons=REVIEWS,
        page="reviews.md",
    ),
    Alert(
        name="PaymentsMessagesGivenUp",
        expression='max(payments_customer_messages{state="given_up"}) > 0',
        for_s=0,
        severity=Severity.TICKET,
        summary="Messages to customers could not be sent, and wait for an operator.",
        look=("payments messages list --state given_up",),
        todo="Mend the cause; then `payments messages retry --all-given-up --reason TEXT`.",
        over="No message is given up.",
        twin=_DATABASE,
        reasons=("message_given_up",),
    ),
    Alert(
        name="PaymentsAuditFindings",
        expression="max by (invariant) (payments_audit_violations) > 0",
        for_s=0,
        severity=Severity.PAGE,
        summary="The audit of changed orders found invariant {{ $labels.invariant }} broken.",
        look=("payments audit", "payments audit --topics", "payments reconcile --since 2d", "payments order show ID"),
        todo=ALARMS["audit_broken"].todo,
        over="An audit finds the invariant to hold again.",
        twin="PaymentsAuditAbsent",
        reasons=("audit_broken",),
    ),
    Alert(
        name="PaymentsAuditOld",
        expression="max(payments_audit_age_seconds) > <1800>",
        for_s=300,
        severity=Severity.TICKET,
        summary="What changed more than half an hour ago is not audited yet.",
        look=("max(payments_reading_seconds)", "payments audit"),
        todo=(
            "See the sweep's log for `the audit of changed orders`. Relieve the database if it is slow. Set "
            "PAYMENTS_AUDIT_INTERVAL_S to less than half an hour if you raised it."
        ),
        over="The audit is less than half an hour behind.",
        twin="PaymentsAuditAbsent",
    ),
)
