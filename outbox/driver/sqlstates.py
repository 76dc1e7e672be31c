"""What an error of PostgreSQL means for our work, judged by its SQLSTATE alone.

The driver's exception classes do not help: a read-only server and a broken index have the same one, and so have a value
that is too long and a dead connection. The table follows appendix A of PostgreSQL's manual. A class has one row; a
single code has a row if it differs from its class.
"""

import re
from enum import Enum, auto
from typing import Final, NamedTuple

import psycopg

from domain.errors import Transient


class Family(Enum):
    """What to do about an error."""

    LOST_RACE = auto()
    """Another transaction won. Run the whole transaction again at once."""
    STALE = auto()
    """A session has a prepared statement that the server does not have. Open new sessions, then run again at once."""
    BUSY = auto()
    """Somebody else holds what we need. Wait, then run again. The sessions are fine."""
    TOO_MUCH = auto()
    """The server gave up on work of this size. Run half of it."""
    OUTAGE = auto()
    """The server cannot work for anybody. Close all sessions, forget what was learned from it, wait."""
    MESSAGE = auto()
    """A value that we sent does not fit. The message with it is to blame; the same value fails again."""
    BUG = auto()
    """Our statement, our schema or the server's code is wrong."""


class Verdict(NamedTuple):
    """A family, and why the error belongs there."""

    family: Family
    why: str


_F = Family
CLASSES: Final[dict[str, Verdict]] = {
    "00": Verdict(_F.BUG, "success is no error"),
    "01": Verdict(_F.BUG, "a warning is no error"),
    "02": Verdict(_F.BUG, "no data is no error"),
    "03": Verdict(_F.BUG, "the statement is not complete: ours is wrong"),
    "08": Verdict(_F.OUTAGE, "the connection broke; poolers report all their problems with 08P01"),
    "09": Verdict(_F.MESSAGE, "a trigger of somebody's failed over this row"),
    "0A": Verdict(_F.BUG, "the server lacks a feature that we ask for"),
    "0B": Verdict(_F.BUG, "we begin transactions in one place only"),
    "0F": Verdict(_F.BUG, "we use no locators"),
    "0L": Verdict(_F.BUG, "we grant nothing"),
    "0P": Verdict(_F.BUG, "we set no role"),
    "0Z": Verdict(_F.BUG, "we have no stored procedures"),
    "10": Verdict(_F.BUG, "we use no XQuery"),
    "20": Verdict(_F.BUG, "a CASE of ours has no branch"),
    "21": Verdict(_F.BUG, "a subquery of ours gives too many rows"),
    "22": Verdict(_F.MESSAGE, "a value does not fit its column"),
    "23": Verdict(_F.BUG, "we wrote what contradicts our own tables"),
    "24": Verdict(_F.BUG, "we use no cursors of the server"),
    "25": Verdict(_F.BUG, "a transaction is not in the state that we believe"),
    "26": Verdict(_F.STALE, "a pooler or DISCARD took our prepared statements away"),
    "27": Verdict(_F.MESSAGE, "a trigger of somebody's changed this row"),
    "28": Verdict(_F.OUTAGE, "the login is refused: a password was changed, a role locked"),
    "2B": Verdict(_F.BUG, "we revoke nothing"),
    "2D": Verdict(_F.BUG, "we have no stored procedures"),
    "2F": Verdict(_F.MESSAGE, "a function of somebody's refuses this row"),
    "34": Verdict(_F.BUG, "we use no cursors of the server"),
    "38": Verdict(_F.MESSAGE, "a function of somebody's refuses this row"),
    "39": Verdict(_F.MESSAGE, "a function of somebody's failed over this row"),
    "3B": Verdict(_F.BUG, "we use no savepoints"),
    "3D": Verdict(_F.OUTAGE, "the database is not there: it is being restored or renamed"),
    "3F": Verdict(_F.BUG, "the schema is not there"),
    "40": Verdict(_F.LOST_RACE, "the server rolled back for another transaction's sake"),
    "42": Verdict(_F.BUG, "this release and the schema do not fit"),
    "44": Verdict(_F.MESSAGE, "a view of somebody's does not take this row"),
    "53": Verdict(_F.OUTAGE, "the server is out of something: disk, connections"),
    "54": Verdict(_F.MESSAGE, "a value is too large for the server"),
    "55": Verdict(_F.BUG, "an object is not in the state that we believe"),
    "57": Verdict(_F.OUTAGE, "somebody stops the server, or it is starting"),
    "58": Verdict(_F.OUTAGE, "the server's disk fails"),
    "72": Verdict(_F.LOST_RACE, "the snapshot grew too old: a new transaction has a new one"),
    "F0": Verdict(_F.OUTAGE, "the server's configuration is broken"),
    "HV": Verdict(_F.BUG, "we use no foreign tables"),
    "P0": Verdict(_F.MESSAGE, "a trigger of somebody's refuses this row"),
    "XX": Verdict(_F.BUG, "the server's own fault, or its data are damaged: waiting mends neither"),
}
CODES: Final[dict[str, Verdict]] = {
    "2200H": Verdict(_F.BUG, "a sequence of ours has ended; no message is to blame"),
    "23505": Verdict(_F.LOST_RACE, "another transaction wrote the same row first"),
    "23514": Verdict(_F.MESSAGE, "what was decided breaks a bound; see outbox.store for the race"),
    "25006": Verdict(_F.OUTAGE, "the server is read only: a standby, or an operator's doing"),
    "25P03": Verdict(_F.OUTAGE, "the session ended because we stood still in a transaction"),
    "25P04": Verdict(_F.TOO_MUCH, "the transaction took longer than transaction_timeout"),
    "40003": Verdict(_F.OUTAGE, "nobody knows whether it was done"),
    "42501": Verdict(_F.OUTAGE, "a permission is missing for everybody until it is granted"),
    "42P05": Verdict(_F.STALE, "a pooler gave us a session that has our prepared statement already"),
    "53200": Verdict(_F.TOO_MUCH, "the server has not the memory for this statement"),
    "53400": Verdict(_F.TOO_MUCH, "the statement passed a limit, mostly temp_file_limit"),
    "55006": Verdict(_F.BUSY, "another session uses it"),
    "55P03": Verdict(_F.BUSY, "lock_timeout passed: another session holds the lock for long"),
    "57014": Verdict(_F.TOO_MUCH, "statement_timeout passed, or somebody cancelled the statement"),
    "57P05": Verdict(_F.STALE, "the session ended because it had nothing to do; the server is well"),
}
_UNKNOWN: Final = Verdict(_F.BUG, "no class of SQLSTATEs that we know")
_PLAN_CHANGED: Final = Verdict(_F.STALE, "a migration changed a table that a prepared statement reads")
_PLAN_CHECK: Final = "RevalidateCachedQuery"
"""The server's function that raises it. 0A000 has other meanings, and the text is in the server's language."""
PLACE: Final = re.compile(r"\(\d+,\d+\)")
"""A row's place in its table, as the context of errors names it."""
_WAITED_OUT: Final = frozenset({_F.LOST_RACE, _F.STALE, _F.BUSY, _F.TOO_MUCH, _F.OUTAGE})


def verdict(sqlstate: str) -> Verdict:
    """Judge a SQLSTATE."""
    return CODES.get(sqlstate) or CLASSES.get(sqlstate[:2], _UNKNOWN)


def family_of(error: psycopg.Error) -> Family:
    """Judge an error of the driver. An error without a SQLSTATE does not come from the server."""
    if error.sqlstate is not None:
        if error.sqlstate == "0A000" and error.diag.source_function == _PLAN_CHECK:
            return _PLAN_CHANGED.family
        if error.sqlstate == "57014" and waited_for_row(error):
            return Family.BUSY  # see row_waits
        return verdict(error.sqlstate).family
    if isinstance(error, psycopg.errors.PipelineAborted):
        return Family.BUG  # an earlier error was swallowed
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Family.OUTAGE  # no connection, or it broke: refused, unknown host, wrong password, time-out
    if type(error) is psycopg.DatabaseError:
        return Family.OUTAGE  # libpq's own, as the result of a statement: psycopg makes it so, and the connection broke
    if isinstance(error, psycopg.DataError):
        return Family.MESSAGE  # the driver cannot write the value, such as a NUL in a text
    return Family.BUG


def waited_for_row(error: psycopg.Error) -> bool:
    """Tell whether the statement that failed was waiting for one row: in any language, the error says the place."""
    return PLACE.search(error.diag.context or "") is not None


def may_pass(error: BaseException) -> bool:
    """Tell whether the same work may succeed later. Otherwise it is a bug, or the fault of a message."""
    return isinstance(error, Transient) or (isinstance(error, psycopg.Error) and family_of(error) in _WAITED_OUT)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text: further lines may quote values."""
    return (str(error).splitlines() or [type(error).__name__])[0]
