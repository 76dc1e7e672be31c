"""For each alarm: what to look at, and when it is over. What it means and what to do stand in `domain.alarms`."""

from typing import Final, NamedTuple


class Section(NamedTuple):
    """look: commands of this module, of PostgreSQL or Kafka, and queries for Prometheus. over: one sentence."""

    look: tuple[str, ...]
    over: str


_ENDED: Final = "A line at INFO says that it is over, and how long it lasted."
_GRADUALLY: Final = (
    " Then calls come back gradually: one in the first second, twice as many in each later one. A second line says "
    "when nothing is held back any more; with PAYMENTS_OPERATIONS_OPEN_MAX at 4,000 that is after some twelve seconds."
)
_RAMP: Final = "sum by (edge) (payments_ramp_calls_per_second)"
_ORDER: Final = "payments order show ID"
_GATEWAY: Final = "sum by (operation, asked, outcome) (rate(payments_gateway_calls_total[5m]))"
_LAG: Final = "max by (group, topic) (payments_consumer_lag_seconds)"
_REFUSED: Final = "sum by (reason) (increase(payments_publish_refused_total[15m]))"
_OUTBOX: Final = "max(payments_outbox_oldest_age_seconds)"
_TOPIC: Final = "kafka-topics.sh --bootstrap-server BROKER --describe --topic TOPIC"
_MISSING: Final = "payments topics create"
_ONE: Final = "The line comes once for each; it is over when you have dealt with the order that it names."
_READS: Final = "It does not come again for ten minutes: the list is read again."

RUNNING: Final = {
    "dependency_down": Section(
        ("pg_isready", "max by (source) (increase(payments_readings_failed_total[10m]))"), _ENDED
    ),
    "lock_held": Section(
        ("SELECT pid, state, xact_start, query FROM pg_stat_activity WHERE pid = PID", _ORDER),
        "The session has ended its transaction, and the line comes no more.",
    ),
    "kafka_down": Section((_LAG, "kafka-broker-api-versions.sh --bootstrap-server BROKER"), _ENDED),
    "transaction_open": Section(
        ("kafka-transactions.sh --bootstrap-server BROKER find-hanging --broker-id ID", _LAG),
        "The lag of the topic falls to 0.",
    ),
    "gateway_down": Section(
        (_GATEWAY, "max by (edge) (payments_breaker_open)", _RAMP, "payments config"), _ENDED + _GRADUALLY
    ),
    "inventory_down": Section(
        ("sum by (operation, outcome) (rate(payments_inventory_calls_total[5m]))", _RAMP, "payments config"),
        _ENDED + _GRADUALLY,
    ),
    "gateway_forbids": Section((_GATEWAY, "payments order list --status manual_review"), _ENDED),
    "refunds_unread": Section(("payments reconcile --since 2d",), _READS),
    "preparation_of_cancelled": Section((_ORDER,), _ONE),
    "amount_differs": Section((_ORDER, "payments reconcile --since 2d"), _ONE),
    "webhook_refused": Section(("payments config", "timedatectl status"), "A minute passes without the line."),
    "notices_unread": Section(("payments reconcile --since 2d",), _READS),
    "notice_orphaned": Section(("payments reconcile --since 7d",), "You know whose orders they are."),
    "payment_disputed": Section((_ORDER,), _ONE),
    "dispute_unknown": Section((_ORDER, "payments --version"), "A release that knows the status has told it."),
    "fraud_warning": Section((_ORDER,), _ONE),
    "foreign_refund_failed": Section((_ORDER, "payments reconcile --since 7d"), _ONE),
    "refund_made_late": Section((_ORDER, "payments reconcile --since 7d"), _ONE),
    "money_unwanted": Section((_ORDER,), "The void or refund in its timeline has succeeded."),
    "notice_kept": Section((_ORDER, "payments reconcile --since 7d"), "A day passes without the line."),
    "told_unread": Section((_GATEWAY,), _READS),
    "notifier_down": Section(
        ('max(payments_customer_messages{state="waiting"})', "payments messages list --state waiting"), _ENDED
    ),
    "message_given_up": Section(("payments messages list --state given_up",), "No message is given up any more."),
    "contradiction": Section((_ORDER, "payments reconcile --since 2d"), "Books and gateway agree about the order."),
    "stuck": Section((_ORDER, _LAG), "The order has an outcome."),
    "audit_broken": Section(("payments audit", _ORDER, "payments reconcile --since 2d"), "An audit finds nothing."),
    "search_slow": Section(
        ("SELECT relname, n_dead_tup, last_autovacuum FROM pg_stat_user_tables", "max(payments_reading_seconds)"),
        "The line comes no more.",
    ),
    "produce_refused": Section((_REFUSED, _OUTBOX, _TOPIC), "The outbox is empty again, or young."),
    "topic_stalled": Section((_TOPIC, _OUTBOX), "The outbox is empty again, or young."),
    "clock_wrong": Section(("timedatectl status", _REFUSED), "The relay's messages are taken again."),
    "topic_settings": Section((_TOPIC,), "`consume` starts without the line."),
    "inbox_days": Section(
        ("payments migrate --help", "SELECT pid, query FROM pg_stat_activity"), "The line comes no more."
    ),
    "consumer_stalled": Section((_LAG, "payments_consumer_joined"), "The lag falls, and the line comes no more."),
    "newer_schema": Section(("payments schemas list", _LAG), "The lag of the topic falls to 0."),
    "topic_missing": Section((_MISSING + " --help", "payments_consumer_joined"), _ENDED),
    "topic_made_anew": Section((_TOPIC, "payments audit --topics"), "What was not read has been published again."),
    "messages_lost": Section((_TOPIC, "payments audit --topics"), "What was not read has been published again."),
    "bug": Section(
        ("payments --version", "max by (version, roles) (payments_process_info)"), "The process runs for an hour."
    ),
}
LETTER: Final = Section(
    ("payments dlq list", "payments dlq show ID", "max by (event, reason) (payments_dead_letters_waiting)"),
    "`payments dlq list` shows no such letter that waits.",
)
STOCK_SHORT: Final = Section(
    ("payments dlq list --reason stock_short", "payments stock show SKU"), "The letter is redriven or given up."
)
UNREADABLE: Final = Section(
    (_LAG, "payments dlq list --reason unreadable", "kafka-dump-log.sh --files SEGMENT"),
    "The partition's lag falls to 0.",
)
REVIEW: Final = Section(
    (
        "payments order list --status manual_review",
        "payments order show ID",
        "max by (reason) (payments_reviews_open)",
    ),
    "`payments order resolve` has settled every such order.",
)
