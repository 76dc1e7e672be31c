"""What the relay does about errors: which one matters, how long to wait, when to ring."""

import asyncio
from typing import Any, Final

import psycopg

from domain.alarms import Lasting
from domain.backoff import outage_backoff_s
from domain.errors import Transient
from outbox.driver.sqlstates import Family, family_of, first_line, may_pass

RETRY_MAX_S: Final = 5.0


class Outages:
    """Counts failures in a row, and rings if they last."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._failures = 0
        self._down = Lasting(log, "dependency_down")

    def add(self, error: Exception) -> float:
        """Count one more failure; return the seconds to wait before the next try."""
        self._failures += 1
        dependency = error.dependency if isinstance(error, Transient) else "postgresql"
        now = asyncio.get_running_loop().time()
        if not self._down.again(now, "waiting", name="relay", dependency=dependency, error=first_line(error)):
            self._log.debug("still waiting", failures=self._failures)
        return outage_backoff_s(self._failures, RETRY_MAX_S)

    def end(self) -> None:
        """End an outage: the next one rings again and begins with the shortest wait."""
        self._down.end(asyncio.get_running_loop().time(), "going on", failures=self._failures)
        self._failures = 0


def is_too_much(error: Exception) -> bool:
    """Tell whether the server gave up on work of this size: half of it may succeed."""
    return isinstance(error, psycopg.Error) and family_of(error) is Family.TOO_MUCH


def cause_of(group: ExceptionGroup[Exception]) -> Exception:
    """Return the one error that matters: a bug if there is one."""
    inner = [cause_of(error) if isinstance(error, ExceptionGroup) else error for error in group.exceptions]
    return next((error for error in inner if not may_pass(error)), inner[0])
