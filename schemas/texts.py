"""Text that others made up, as a database and a log can hold it."""

from typing import Final

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def storable(text: str) -> str:
    """Return the text with NUL and lone surrogates replaced, which PostgreSQL and UTF-8 cannot hold."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(REPLACEMENT if "\ud800" <= each <= "\udfff" else each for each in text)
    return text


def one_line(text: str, length_max: int) -> str:
    """Return the beginning of the text, with everything replaced that is not printed: it stays one line."""
    text = text[:length_max]
    return text if text.isprintable() else "".join(each if each.isprintable() else REPLACEMENT for each in text)
