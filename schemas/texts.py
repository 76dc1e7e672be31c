"""Makes text from outside safe to store and to log."""

from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def storable(text: str) -> str:
    """Replace NUL, which PostgreSQL cannot store, and lone surrogates, which UTF-8 cannot encode."""
    text = text.replace("\0", REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(REPLACEMENT if "\ud800" <= each <= "\udfff" else each for each in text)
    return text


def one_line(text: str, length_max: int) -> str:
    """Cut the text to this length and replace what is not printable, so that it stays one line."""
    text = text[:length_max]
    return text if text.isprintable() else "".join(each if each.isprintable() else REPLACEMENT for each in text)


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with what it counts: `1 order`, `2 orders`. many: if it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
