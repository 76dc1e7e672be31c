"""Of several errors that came at once, the one that matters; and whether half of the work may do."""

import psycopg

from outbox.driver.sqlstates import Family, family_of, may_pass


def is_too_much(error: Exception) -> bool:
    """Tell whether half of it may work."""
    return isinstance(error, psycopg.Error) and family_of(error) is Family.TOO_MUCH


def cause_of(group: ExceptionGroup[Exception]) -> Exception:
    """Return the one error that matters: a bug if there is one."""
    inner = [cause_of(error) if isinstance(error, ExceptionGroup) else error for error in group.exceptions]
    return next((error for error in inner if not may_pass(error)), inner[0])
