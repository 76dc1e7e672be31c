"""What an error that somebody's work raised tells of it, in words without values of the work.

An error's own words may quote a customer, a token, a text of the message; they go to the database, the log and the
screen of an operator. So quotations, numbers and all that the work holds are left out, and the trace names places only.
"""

import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from schemas.texts import one_line, storable

WORDS_MAX: Final = 300
TRACE_MAX: Final = 50_000
"""The last places count."""
HIDDEN: Final = "..."
VALUE_MIN: Final = 3
"""Shorter values would make holes in every word."""
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|\{[^}]*\}")
_NO_WORD: Final = re.compile(r"\S*[\d_@/]\S*")
"""Ids, tokens, addresses, amounts."""
_WORD: Final = re.compile(r"\w+")


class Blame(NamedTuple):
    """detail: the error's type and words, without values of the work. trace: the lines of code, the last one last.

    error: of the same place, fit for a log: it says detail.
    """

    detail: str
    trace: str
    error: Exception


class Raised(Exception):  # noqa: N818 - it stands for another error in a log
    """What somebody's work raised, in words without its values."""


def blame(error: Exception, *work: object, raw: bytes = b"") -> Blame:
    """Describe what an error says without quoting the work, such as an event, that raised it. raw: its bytes."""
    # A database says more than what is wrong: it quotes the row.
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    words = " ".join(said.split())
    for value in sorted(set(_texts(work)), key=len, reverse=True):
        if len(value) >= VALUE_MIN:
            words = words.replace(value, HIDDEN)
    words = _NO_WORD.sub(HIDDEN, _QUOTED.sub(HIDDEN, words))
    words = _WORD.sub(lambda found: HIDDEN if _stands_in(raw, found[0]) else found[0], words)
    # A database must be able to keep it: where that fails, nothing is left but to stop.
    words = one_line(words, WORDS_MAX)
    detail = f"{type(error).__name__}: {words}" if words else type(error).__name__
    trace = storable("".join(_places(error))[-TRACE_MAX:])
    return Blame(detail, trace, Raised(detail).with_traceback(error.__traceback__))


def _stands_in(raw: bytes, word: str) -> bool:
    return len(word) >= VALUE_MIN and word.encode("utf-8", "replace") in raw


def _places(error: BaseException) -> Iterator[str]:
    """Name where it was raised, first where its cause was."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _places(cause)
    yield f"{type(error).__name__}\n"
    yield from traceback.format_tb(error.__traceback__)


def _texts(value: object) -> Iterator[str]:
    """Yield every text in a value, however deep."""
    match value:
        case str():
            yield value
        case BaseModel():
            yield from _texts(vars(value))
        case Mapping():
            for part in value.values():
                yield from _texts(part)
        case list() | tuple():
            for part in value:
                yield from _texts(part)
        case _:
            yield from _of_struct(value)


def _of_struct(value: Any) -> Iterable[str]:
    """Yield the texts of a domain value."""
    for name in getattr(value, "__struct_fields__", ()):
        yield from _texts(getattr(value, name))
