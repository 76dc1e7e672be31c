"""Waiting for what another process, a broker or a database does: nothing tells of it, so it is looked at again."""

import time
from collections.abc import Callable
from typing import Final

EVENTUALLY_S: Final = 60.0
POLL_S: Final = 0.02


def eventually(
    condition: Callable[[], object],
    what: Callable[[], str] | str,
    timeout_s: float = EVENTUALLY_S,
    poll_s: float = POLL_S,
) -> None:
    """Wait until the condition holds; fail saying what did not. poll_s: so long between two looks."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"not within {timeout_s:g} s: {what if isinstance(what, str) else what()}"
        time.sleep(poll_s)
