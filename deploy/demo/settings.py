"""The settings of a pipeline on which a demo is played: what is not said here has its default."""

from typing import Final

PENDING_S: Final = 2.0
PARTITIONS: Final = 4
SETTINGS: Final = {
    "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
    "PAYMENTS_TOPIC_PARTITIONS": str(PARTITIONS),
    "PAYMENTS_GATEWAY": "sandbox",
    "PAYMENTS_SANDBOX_PENDING_S": f"{PENDING_S:g}",
    # What takes minutes in production takes seconds here, so that every order ends while somebody watches.
    "PAYMENTS_GATEWAY_CONNECT_TIMEOUT_S": "1",
    "PAYMENTS_GATEWAY_TIMEOUT_S": "2",
    "PAYMENTS_LEASE_S": "15",
    "PAYMENTS_UNKNOWN_RETRY_S": "1",
    "PAYMENTS_BACKOFF_MIN_S": "0.5",
    "PAYMENTS_SWEEP_INTERVAL_S": "0.25",
    # Nobody goes back there: the customers of a demo are played.
    "PAYMENTS_RETURN_URL": "https://shop.example/orders/{order_id}",
    "PAYMENTS_ACTION_TIMEOUT_S": "8",
    "PAYMENTS_NOTIFIER": "smtp",
    "PAYMENTS_SMTP_FROM": "The demo's shop <shop@shop.example>",
    "PAYMENTS_EARLY_WAIT_S": "10",
    "PAYMENTS_LOG_LEVEL": "WARNING",
}
