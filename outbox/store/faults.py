"""Turns the driver's errors into the domain's."""

import psycopg

from domain.errors import Busy, Contended, DownForEverybody, Permanent, TooMuch, Transient, Unfit, Violated
from outbox.driver.refused import FORBIDDEN, explain_forbidden, explain_refusal
from outbox.driver.sqlstates import Family, family_of, first_line, waited_for_row


def in_domain(error: psycopg.Error, *, contended: bool) -> Exception:
    """Return the domain's error. contended: this is not the first run of the work."""
    if isinstance(error, psycopg.errors.CheckViolation):
        return _check_violated(error, contended=contended)
    match family_of(error):
        case Family.LOST_RACE:
            family = Violated if isinstance(error, psycopg.errors.UniqueViolation) else Contended
            return family(f"another transaction won: {error.diag.constraint_name or error.sqlstate}")
        case Family.STALE:
            return Contended(f"sessions are made anew: {first_line(error)}")
        case Family.BUSY:
            return Busy(f"PostgreSQL is busy: {first_line(error)}", at_row=waited_for_row(error))
        case Family.TOO_MUCH:
            return TooMuch(f"PostgreSQL gave up: {first_line(error)}")
        case Family.OUTAGE:
            return DownForEverybody(_outage(error))
        case Family.MESSAGE | Family.BUG:
            return _fault(error)


def is_repeated_event(error: psycopg.Error) -> bool:
    """Whether an event is in the inbox already."""
    return family_of(error) is Family.LOST_RACE and (error.diag.table_name or "").startswith("inbox")


def lacks_day(error: psycopg.Error) -> bool:
    """Whether a day has no partition: it is not made yet, or another process dropped it meanwhile."""
    return isinstance(error, psycopg.errors.CheckViolation) and error.diag.constraint_name is None


def _outage(error: psycopg.Error) -> str:
    """Say what is wrong; if it is a refused connection or a missing right, what to do."""
    if error.sqlstate == FORBIDDEN:
        return explain_forbidden(first_line(error))
    refused = None if error.sqlstate else explain_refusal(" ".join(str(error).split()))
    return refused or f"PostgreSQL does not answer as it should: {first_line(error)}"


def _check_violated(error: psycopg.errors.CheckViolation, *, contended: bool) -> Transient:
    """Judge a violated check: another transaction won, or a day of the inbox is missing."""
    if not lacks_day(error):
        return Violated(f"another transaction won: {error.diag.constraint_name}")
    if contended:
        return Transient("the inbox has no partition for a day: `payments sweep` makes and keeps them")
    return Contended("the inbox lacks the partition of a day")


def _fault(error: psycopg.Error) -> Exception:
    """Return Permanent if one message is to blame, Unfit if the release is."""
    # Class 23: a constraint of a table is violated. The decision about this one message is wrong.
    if family_of(error) is Family.MESSAGE or (error.sqlstate or "").startswith("23"):
        words = error.diag.message_primary or first_line(error)
        return Permanent(f"PostgreSQL cannot store this ({type(error).__name__}): {words}")
    return Unfit(f"PostgreSQL refuses a statement of this release: {first_line(error)}")
