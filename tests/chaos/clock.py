"""The clock of the harness. Kafka's time-stamps, PostgreSQL and the sandbox tell the same one: it is one machine."""

from datetime import UTC, datetime


def unix_s() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()  # noqa: TID251 - upstream's clock, and the oracle's


def unix_micros() -> int:
    """Microseconds since 1970, as events have them."""
    return int(unix_s() * 1_000_000)


def told(at_s: float) -> str:
    """Say a time as the logs say it."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M:%S.%f")[:-3]
