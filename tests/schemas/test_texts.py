"""Text that others made up is kept as they wrote it, as far as a database can."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.texts import REPLACEMENT, counted, one_line, storable

ANY = st.text(st.characters(exclude_categories=()), max_size=20)


def test_only_what_postgresql_cannot_hold_is_replaced() -> None:
    assert storable("a\0b\ud800c\n\u2028🧉") == f"a{REPLACEMENT}b{REPLACEMENT}c\n\u2028🧉"


@given(ANY)
def test_any_text_can_be_stored_and_stays_as_long_as_it_is(text: str) -> None:
    stored = storable(text)
    assert len(stored) == len(text)
    assert "\0" not in stored.encode().decode()
    assert all(kept in {made, REPLACEMENT} for kept, made in zip(stored, text, strict=True))


@given(ANY, st.integers(0, 30))
def test_any_text_is_one_line_that_is_no_longer_than_asked_for(text: str, length_max: int) -> None:
    line = one_line(text, length_max)
    assert len(line) == min(len(text), length_max)
    assert line.isprintable()
    assert line.encode().decode() == line


def test_one_is_not_told_as_many() -> None:
    assert [counted(n, "order") for n in range(3)] == ["0 orders", "1 order", "2 orders"]
    assert [counted(n, "order is", "orders are") for n in (1, 2)] == ["1 order is", "2 orders are"]
