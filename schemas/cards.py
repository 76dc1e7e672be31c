"""Card numbers: how they are told from other long numbers, and how they are made unreadable.

A card number is 14 to 19 digits, single spaces or hyphens between them allowed, that does not touch another letter or
digit, begins with a brand's range, has that brand's length and passes the Luhn check (ISO/IEC 7812-1, annex B).
Where groups of digits follow each other, any run of whole groups may be one. Letters and digits are ASCII's: next to
other ones a number is rather hidden once too often. Only text that should hold no long numbers is ever looked at, for a
tenth of random article numbers and timestamps passes Luhn.
"""

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

DIGITS_MIN: Final = 14
DIGITS_MAX: Final = 19

_NONE: Final[frozenset[int]] = frozenset()
_16 = frozenset({16})
_16_TO_19 = frozenset(range(16, 20))
_14_TO_19 = frozenset(range(14, 20))

BRANDS: Final[tuple[tuple[str, str, str, frozenset[int]], ...]] = (
    ("Visa", "4", "4", frozenset({16, 18, 19})),
    ("Mastercard", "51", "55", _16),
    ("Mastercard", "2221", "2720", _16),
    ("American Express", "34", "34", frozenset({15})),
    ("American Express", "37", "37", frozenset({15})),
    ("Diners Club", "300", "305", _14_TO_19),
    ("Diners Club", "3095", "3095", _14_TO_19),
    ("Diners Club", "36", "36", _14_TO_19),
    ("Diners Club", "38", "39", _14_TO_19),
    ("Discover", "6011", "6011", _16_TO_19),
    ("Discover", "644", "649", _16_TO_19),
    ("Discover", "65", "65", _16_TO_19),
    ("JCB", "3528", "3589", _16_TO_19),
    ("UnionPay", "62", "62", _16_TO_19),
    ("UnionPay", "8100", "8171", _16_TO_19),
    ("Maestro", "50", "50", _14_TO_19),
    ("Maestro", "56", "58", _14_TO_19),
    ("Maestro", "60", "61", _14_TO_19),
    ("Maestro", "63", "63", _14_TO_19),
    ("Maestro", "66", "69", _14_TO_19),
    ("Mir", "2200", "2204", _16_TO_19),
    ("RuPay", "81", "82", _16),
    ("Troy", "9792", "9792", _16),
    ("Uzcard", "8600", "8600", _16),
    ("Humo", "9860", "9860", _16),
    ("UATP", "1", "1", frozenset({15})),
)
"""Brand, first and last prefix of a range, lengths of 14 digits and more. From the brands' published number ranges."""

_GROUPS: Final = re.compile(rb"[0-9]+(?:[ -][0-9]+)*")
_GROUP: Final = re.compile(rb"[0-9]+")
_TWICE: Final = bytes.maketrans(b"0123456789", b"0246813579")
_STARS: Final = bytes.maketrans(b"0123456789", b"*" * 10)
_ZEROS_PER_DIGIT: Final = ord("0")


def _lengths_by_prefix() -> dict[bytes, frozenset[int]]:
    """Say for every beginning of four digits that a brand has how long its numbers are."""
    lengths: dict[bytes, frozenset[int]] = {}
    for _, first, last, allowed in BRANDS:
        tail = 4 - len(first)
        for number in range(int(first) * 10**tail, (int(last) + 1) * 10**tail):
            prefix = str(number).encode()
            lengths[prefix] = lengths.get(prefix, frozenset()) | allowed
    return lengths


_LENGTHS: Final = _lengths_by_prefix()


def is_only_digits(text: str) -> bool:
    """Return whether the text is digits and nothing else; of any script and number."""
    return text.isdigit()


def is_card_number(text: str) -> bool:
    """Return whether the whole text is one card number, spaces around it aside."""
    data = text.strip().encode()
    return _GROUPS.fullmatch(data) is not None and _is_number(data.replace(b" ", b"").replace(b"-", b""))


def contains_card_number(text: str | bytes) -> bool:
    """Return whether a card number stands anywhere in the text, which is UTF-8 when it is bytes."""
    return next(_found(text.encode() if isinstance(text, str) else text), None) is not None


def mask(text: bytes) -> tuple[bytes, int]:
    """Put * for every digit of every card number; the length and all other bytes stay. Also return how many there were.

    Numbers that share digits count once.
    """
    spans = list(_merged(_found(text)))
    if not spans:
        return text, 0
    masked = bytearray(text)
    for start, end in spans:
        masked[start:end] = masked[start:end].translate(_STARS)
    return bytes(masked), len(spans)


def _is_number(digits: bytes) -> bool:
    return len(digits) in _LENGTHS.get(digits[:4], ()) and _passes_luhn(digits)


def _passes_luhn(digits: bytes) -> bool:
    # Every second digit from the right counts twice, its own digits summed; "0" has the value 48.
    total = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_TWICE)) - _ZEROS_PER_DIGIT * len(digits)
    return total % 10 == 0


def _found(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of every card number, by start; they may overlap."""
    for run in _GROUPS.finditer(text):
        if run.end() - run.start() < DIGITS_MIN:
            continue
        groups = [group.span() for group in _GROUP.finditer(text, run.start(), run.end())]
        if _is_letter(text[run.start() - 1 : run.start()]):
            del groups[0]
        if groups and _is_letter(text[run.end() : run.end() + 1]):
            del groups[-1]
        yield from _in_groups(text, groups)


def _in_groups(text: bytes, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the card numbers made of whole groups; in linear time, for none is followed beyond DIGITS_MAX digits."""
    digits = b"".join(text[start:end] for start, end in groups)
    ends = list(accumulate(end - start for start, end in groups))
    nearest = 0
    for first, (start, end) in enumerate(groups):
        begin = ends[first] - (end - start)
        lengths = _LENGTHS.get(digits[begin : begin + 4], _NONE)
        while nearest < len(ends) and ends[nearest] - begin < DIGITS_MIN:
            nearest += 1
        for last in range(nearest, len(ends)):
            length = ends[last] - begin
            if length > DIGITS_MAX or not lengths:
                break
            if length in lengths and _passes_luhn(digits[begin : begin + length]):
                yield start, groups[last][1]


def _merged(spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join spans that share bytes."""
    current: tuple[int, int] | None = None
    for start, end in spans:
        if current is not None and start < current[1]:
            current = current[0], max(current[1], end)
            continue
        if current is not None:
            yield current
        current = start, end
    if current is not None:
        yield current


def _is_letter(byte: bytes) -> bool:
    return byte.isalpha()
