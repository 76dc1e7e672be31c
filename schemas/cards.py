"""Finds card numbers among other long numbers, and masks them.

A card number has 14 to 19 digits, with single spaces or hyphens between them allowed. It touches no other letter or
digit, begins with a brand's prefix, has one of that brand's lengths and passes the Luhn check (ISO/IEC 7812-1, annex
B). In a sequence of groups of digits any run of whole groups may be one. "Letter" and "digit" mean ASCII: beside any
other character a number is masked, sometimes without need. Search only text that should contain no long numbers: a
tenth of random article numbers and timestamps pass Luhn.
"""

import re
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

DIGITS_MIN: Final = 14
DIGITS_MAX: Final = 19

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
    """Return the allowed lengths of a number by its first four digits."""
    lengths: dict[bytes, frozenset[int]] = {}
    kinds: dict[frozenset[int], frozenset[int]] = {}  # ten thousand prefixes share a handful of sets
    for _, first, last, allowed in BRANDS:
        tail = 4 - len(first)
        for number in range(int(first) * 10**tail, (int(last) + 1) * 10**tail):
            prefix = str(number).encode()
            either = lengths[prefix] | allowed if prefix in lengths else allowed
            lengths[prefix] = kinds.setdefault(either, either)
    return lengths


_LENGTHS: Final = _lengths_by_prefix()


def is_only_digits(text: str) -> bool:
    """Return whether the text consists of digits only, of any script; there may be any number of them."""
    return text.isdigit()


def is_card_number(text: str) -> bool:
    """Return whether the whole text is one card number. Spaces around it are ignored."""
    data = text.strip().encode()
    return _GROUPS.fullmatch(data) is not None and _is_number(data.replace(b" ", b"").replace(b"-", b""))


def contains_card_number(text: str | bytes) -> bool:
    """Return whether the text contains a card number. Bytes are UTF-8."""
    return next(_find(text.encode() if isinstance(text, str) else text), None) is not None


def mask(text: bytes) -> tuple[bytes, int]:
    """Replace each digit of each card number by *; return the text and the count of numbers.

    The length and all other bytes stay. Numbers that share digits count once.
    """
    spans = _merge(_find(text))
    if not spans:
        return text, 0
    masked = bytearray(text)
    for start, end in spans:
        masked[start:end] = masked[start:end].translate(_STARS)
    return bytes(masked), len(spans)


def _is_number(digits: bytes) -> bool:
    return len(digits) in _LENGTHS.get(digits[:4], ()) and _passes_luhn(digits)


def _passes_luhn(digits: bytes) -> bool:
    # Every second digit from the right is doubled, and its digits are added up. The byte "0" has the value 48.
    total = sum(digits[-1::-2]) + sum(digits[-2::-2].translate(_TWICE)) - _ZEROS_PER_DIGIT * len(digits)
    return total % 10 == 0


def _find(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of each card number, in the order of their starts. They may overlap."""
    for run in _GROUPS.finditer(text):
        if run.end() - run.start() < DIGITS_MIN:
            continue
        groups = [group.span() for group in _GROUP.finditer(text, run.start(), run.end())]
        if text[run.start() - 1 : run.start()].isalpha():
            del groups[0]
        if groups and text[run.end() : run.end() + 1].isalpha():
            del groups[-1]
        yield from _find_in_groups(text, groups)


def _find_in_groups(text: bytes, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the card numbers made of whole groups. Takes linear time: each search ends after DIGITS_MAX digits."""
    digits = b"".join(text[start:end] for start, end in groups)
    ends = list(accumulate(end - start for start, end in groups))
    nearest = 0
    for first, (start, end) in enumerate(groups):
        begin = ends[first] - (end - start)
        lengths = _LENGTHS.get(digits[begin : begin + 4], ())
        while nearest < len(ends) and ends[nearest] - begin < DIGITS_MIN:
            nearest += 1
        for last in range(nearest, len(ends)):
            length = ends[last] - begin
            if length > DIGITS_MAX or not lengths:
                break
            if length in lengths and _passes_luhn(digits[begin : begin + length]):
                yield start, groups[last][1]


def _merge(spans: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that share bytes."""
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged
