"""How long to wait while something is down."""


def outage_backoff_s(failures: int, longest_s: float) -> float:
    """Return the seconds until the next try: doubled with each failure, from 0.2 up to the longest."""
    return min(0.1 * 2.0 ** min(failures, 10), longest_s)
