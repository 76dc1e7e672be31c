"""The panels of the dashboard: rows of questions, each with its queries. `dashboard.py` makes the document of them."""

from enum import StrEnum
from typing import Final, NamedTuple


class Unit(StrEnum):
    """Grafana's names of units."""

    SECONDS = "s"
    COUNT = "short"
    SHARE = "percentunit"
    RATE = "reqps"


class Query(NamedTuple):
    """PromQL, and how its lines are named."""

    expression: str
    legend: str = ""


class Panel(NamedTuple):
    """One graph. about: how to read it."""

    title: str
    about: str
    unit: Unit
    queries: tuple[Query, ...]


_RATE: Final = "[$__rate_interval]"


def _quantiles(metric: str, labels: str = "", by: str = "") -> tuple[Query, ...]:
    chosen = f"{{{labels}}}" if labels else ""
    names = ", ".join(["le", *([by] if by else [])])
    legend = f" {{{{{by}}}}}" if by else ""
    return tuple(
        Query(f"histogram_quantile({q}, sum by ({names}) (rate({metric}_bucket{chosen}{_RATE})))", f"p{q[2:]}{legend}")
        for q in ("0.5", "0.99")
    )


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "Orders": (
        Panel(
            "Outcomes",
            "Outcomes a second.",
            Unit.RATE,
            (Query(f"sum by (outcome) (rate(payments_orders_total{_RATE}))", "{{outcome}}"),),
        ),
        Panel(
            "Why orders fail",
            "Failures a second, by their code.",
            Unit.RATE,
            (Query(f'sum by (reason) (rate(payments_orders_total{{outcome="payment_failed"}}{_RATE}))', "{{reason}}"),),
        ),
        Panel(
            "Time to the outcome",
            "From the record on the topic to the first outcome, without orders that waited for the customer or a bank.",
            Unit.SECONDS,
            _quantiles("payments_order_outcome_seconds", 'waited="no"'),
        ),
        Panel(
            "Within a minute",
            "Share of orders with an outcome within a minute. The objective is 99 %.",
            Unit.SHARE,
            (
                Query(
                    f'sum(rate(payments_order_outcome_seconds_bucket{{waited="no",le="60.0"}}{_RATE}))'
                    f' / sum(rate(payments_order_outcome_seconds_count{{waited="no"}}{_RATE}))',
                    "in time",
                ),
            ),
        ),
    ),
    "Backlog": (
        Panel(
            "Orders without an outcome",
            "By whom they wait for.",
            Unit.COUNT,
            (Query("sum by (waits_for) (max by (status, waits_for) (payments_orders_unfinished))", "{{waits_for}}"),),
        ),
        Panel(
            "Oldest order and oldest unknown operation",
            "0 if there is none.",
            Unit.SECONDS,
            (
                Query("max by (waits_for) (payments_order_unfinished_oldest_age_seconds)", "waits for {{waits_for}}"),
                Query("max(payments_operation_unknown_oldest_age_seconds)", "unknown operation"),
            ),
        ),
        Panel(
            "Outbox",
            "Messages that are still to be sent.",
            Unit.COUNT,
            (Query("max(payments_outbox_messages)", "messages"),),
        ),
        Panel(
            "Age of the outbox, time to publish",
            "The oldest message that is still to be sent; and how long a batch takes at Kafka.",
            Unit.SECONDS,
            (Query("max(payments_outbox_oldest_age_seconds)", "oldest"), *_quantiles("payments_publish_seconds")),
        ),
        Panel(
            "Lag in seconds",
            "Age of the first record that a group has not committed.",
            Unit.SECONDS,
            (Query("max by (group, topic) (payments_consumer_lag_seconds)", "{{topic}}"),),
        ),
        Panel(
            "New orders are held back",
            "Share of the time in which a process leaves new orders with Kafka, since orders under way are late.",
            Unit.SHARE,
            (Query(f"max(rate(payments_new_orders_held_back_seconds_total{_RATE}))", "the most of all processes"),),
        ),
        Panel(
            "Lag in messages",
            "Up to the last stable offset.",
            Unit.COUNT,
            (Query("max by (group, topic) (payments_consumer_lag_messages)", "{{topic}}"),),
        ),
    ),
    "Calls": (
        Panel(
            "Gateway: answers",
            "Answers a second, by what they say.",
            Unit.RATE,
            (
                Query(
                    f'sum by (operation, outcome) (rate(payments_gateway_calls_total{{asked="call"}}{_RATE}))',
                    "{{operation}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            "Gateway: time of a call",
            "Until its answer.",
            Unit.SECONDS,
            _quantiles("payments_gateway_call_seconds", by="operation"),
        ),
        Panel(
            "Breakers and open operations",
            "1: no calls are made. Operations that are under way, as a share of how many may be.",
            Unit.SHARE,
            (
                Query("max by (edge) (payments_breaker_open)", "breaker of {{edge}}"),
                Query("max by (edge) (payments_operations_open / payments_operations_open_max)", "open at {{edge}}"),
            ),
        ),
        Panel(
            "Calls come back after an outage",
            "So many calls may begin in a second, all processes together. 0: there is no such limit.",
            Unit.COUNT,
            (Query("sum by (edge) (payments_ramp_calls_per_second)", "{{edge}}"),),
        ),
        Panel(
            "Webhooks",
            "Requests a second, by what became of them.",
            Unit.RATE,
            (Query(f"sum by (outcome) (rate(payments_webhooks_total{_RATE}))", "{{outcome}}"),),
        ),
        Panel(
            "Database: time of a transaction",
            "Of a whole batch, until it has committed.",
            Unit.SECONDS,
            _quantiles("payments_database_transaction_seconds"),
        ),
    ),
    "What waits for people": (
        Panel(
            "Reviews",
            "Orders that wait for a person.",
            Unit.COUNT,
            (Query("max by (reason) (payments_reviews_open)", "{{reason}}"),),
        ),
        Panel(
            "Oldest review",
            "Since when it is under review.",
            Unit.SECONDS,
            (Query("max(payments_review_oldest_age_seconds)", "oldest"),),
        ),
        Panel(
            "Dead letters and quarantine",
            "What nobody has redriven or given up.",
            Unit.COUNT,
            (
                Query("max by (event, reason) (payments_dead_letters_waiting)", "{{event}} {{reason}}"),
                Query("max by (kind) (payments_quarantine_waiting)", "quarantine: {{kind}}"),
            ),
        ),
        Panel(
            "Messages to customers",
            "Waiting to be sent, or given up.",
            Unit.COUNT,
            (Query("max by (state) (payments_customer_messages)", "{{state}}"),),
        ),
        Panel(
            "Alarms",
            "Rung in a quarter of an hour, by their reason.",
            Unit.COUNT,
            (Query("sum by (reason) (increase(payments_alarms_total[15m]))", "{{reason}}"),),
        ),
    ),
    "Audit and processes": (
        Panel(
            "Audit: violations",
            "By the number of the invariant. It must be 0.",
            Unit.COUNT,
            (Query("max by (invariant) (payments_audit_violations)", "invariant {{invariant}}"),),
        ),
        Panel(
            "Audit: how far behind",
            "What changed before that time is judged.",
            Unit.SECONDS,
            (Query("max(payments_audit_age_seconds)", "age"),),
        ),
        Panel(
            "Processes",
            "By release and roles.",
            Unit.COUNT,
            (Query("count by (version, roles) (payments_process_info)", "{{roles}} {{version}}"),),
        ),
        Panel(
            "Slowest loop",
            "Since it has made a turn.",
            Unit.SECONDS,
            (Query("max by (instance) (payments_loop_turn_age_seconds)", "{{instance}}"),),
        ),
    ),
}
