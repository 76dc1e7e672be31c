"""What of psycopg's errors is an outage, and what a bug: told by SQLSTATE, for a driver's classes mix the two."""

from typing import Final

import psycopg

from domain.errors import Transient

OUTAGES: Final = ("08", "25", "40", "53", "55", "57", "58")
"""Classes: connection, transaction state (read only, ended while idle), rolled back, resources, locks and state of
objects, operator intervention, system error."""
TOO_MUCH: Final = ("25P04", "53200", "57014")
"""The database gave up on work of this size: time of a transaction or a statement, memory."""


def is_outage(error: Exception) -> bool:
    """Tell whether the same may work later."""
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        return error.sqlstate.startswith(OUTAGES)
    return isinstance(error, Transient | psycopg.OperationalError | psycopg.InterfaceError)


def is_too_much(error: Exception) -> bool:
    """Tell whether half of it may work."""
    return isinstance(error, psycopg.Error) and error.sqlstate in TOO_MUCH


def cause_of(group: ExceptionGroup[Exception]) -> Exception:
    """Return the one error that matters: a bug if there is one."""
    inner = [cause_of(error) if isinstance(error, ExceptionGroup) else error for error in group.exceptions]
    return next((error for error in inner if not is_outage(error)), inner[0])
