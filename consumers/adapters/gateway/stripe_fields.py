"""Fields of Stripe's objects, as their types should be. What is odd raises one of UNREADABLE_ERRORS, never passes."""

from collections.abc import Mapping
from typing import Any, Final

Thing = Mapping[str, Any]
"""An object of Stripe's, as it stood in the answer."""
UNREADABLE_ERRORS: Final = (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError)
"""What reading raises for odd values in an answer."""
_NOTHING: Final[Thing] = {}


def text(thing: Thing, name: str) -> str:
    """Return a text that must be there."""
    value = thing[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def optional_text(thing: Thing, name: str) -> str | None:
    """Return a text; None where there is none."""
    return None if thing.get(name) is None else text(thing, name)


def remark(thing: Thing, name: str) -> str | None:
    """Return a text that only tells a person more; None where there is none, or something else."""
    value = thing.get(name)
    return value if isinstance(value, str) else None


def whole(thing: Thing, name: str) -> int:
    """Return a whole number that must be there."""
    value = thing[name]
    if type(value) is not int:
        raise TypeError(f"{name} is no whole number")
    return value


def part(thing: Thing, name: str) -> Thing:
    """Return an object in an object; an empty one where there is none, or only its id."""
    value = thing.get(name)
    if value is None or isinstance(value, str):
        return _NOTHING
    if not isinstance(value, dict):
        raise TypeError(f"{name} is no object")
    return value
