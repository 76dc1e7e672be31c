"""Describes an error without values of the work that raised it.

An error's text may quote a customer, a token or a message. It is stored, logged and shown to operators. So quotations,
numbers and all values of the work are hidden, and the trace names lines of code only.
"""

import re
import traceback
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pydantic import BaseModel

from schemas.texts import one_line, storable

WORDS_MAX: Final = 300
TRACE_MAX: Final = 50_000
"""The end of a longer trace is kept."""
HIDDEN: Final = "..."
VALUE_MIN: Final = 3
"""Shorter values are not hidden: they are part of too many words."""
_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|\{[^}]*\}")
_NO_WORD: Final = re.compile(r"\S*[\d_@/]\S*")
"""Ids, tokens, addresses, amounts."""
_WORD: Final = re.compile(r"\w+")


class Blame(NamedTuple):
    """detail: the error's type and text, without values of the work. trace: the lines of code, the last one last.

    error: to log in place of the original; it has the same traceback, and detail as its text.
    """

    detail: str
    trace: str
    error: Exception


class Raised(Exception):  # noqa: N818 - it replaces another error in a log
    """The description of an error, without values of the work."""


def blame(error: Exception, *work: object, raw: bytes = b"") -> Blame:
    """Describe an error without quoting the work (such as an event) that raised it. raw: the bytes of the work."""
    # The full text of a database error quotes the row.
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    words = " ".join(said.split())
    for value in sorted(set(_texts(work)), key=len, reverse=True):
        if len(value) >= VALUE_MIN:
            words = words.replace(value, HIDDEN)
    words = _NO_WORD.sub(HIDDEN, _QUOTED.sub(HIDDEN, words))
    words = _WORD.sub(lambda found: HIDDEN if _stands_in(raw, found[0]) else found[0], words)
    # It must be storable: if storing it fails, the process stops.
    words = one_line(words, WORDS_MAX)
    detail = f"{type(error).__name__}: {words}" if words else type(error).__name__
    trace = storable("".join(_places(error))[-TRACE_MAX:])
    return Blame(detail, trace, Raised(detail).with_traceback(error.__traceback__))


def _stands_in(raw: bytes, word: str) -> bool:
    return len(word) >= VALUE_MIN and word.encode("utf-8", "replace") in raw


def _places(error: BaseException) -> Iterator[str]:
    """Yield the traceback without values; that of the cause comes first."""
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
        case _:  # A value of the domain, or none that has texts.
            for name in getattr(value, "__struct_fields__", ()):
                yield from _texts(getattr(value, name))
