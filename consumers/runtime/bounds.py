"""The bounds of the runtime. They know no event and no port: a relay is bounded by them, too."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Every queue, batch and wait of the runtime. Durations in seconds.

    quarantine_max: how much may raise within ten minutes, over all processes. One more stops the process.
    late_s: an event of ours that is older when we react to it is late. late_wait_max_s: so long new orders wait then.
    late_begin_per_s: but so many a second are begun all the same, if they come.
    ramp_step_s: after an outage the number of calls that begin in such a time doubles from one to the next.
    call_max_s, stock_call_max_s: one request at the gateway, at an inventory elsewhere.
    dead_letter_token_days: how long a dead letter keeps its payment token, if nobody redrives it.
    """

    batch_max: int = 500
    transactions_max: int = 4
    operations_open_max: int = 4_000
    poll_s: float = 0.5
    late_s: float = 1
    late_wait_max_s: float = 5
    late_begin_per_s: float = 100
    call_max_s: float = 30
    stock_call_max_s: float = 10
    drain_timeout_s: float = 20
    sweep_interval_s: float = 1
    refund_recheck_s: float = 86_400
    outage_backoff_max_s: float = 5
    contended_runs_max: int = 20
    breaker_failures: int = 50
    breaker_pause_s: float = 1
    breaker_pause_max_s: float = 30
    breaker_seen_s: float = 120
    ramp_step_s: float = 1
    stalled_after_s: float = 300
    quarantine_max: int = 20
    dead_letter_token_days: int = 7
