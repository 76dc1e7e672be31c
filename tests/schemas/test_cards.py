"""What is taken for a card number, what is not, and what is left of one."""

import pytest

from schemas.cards import contains_card_number, is_card_number, is_only_digits, mask

# Numbers that gateways and brands publish for tests, and ones made for a brand's range.
CARDS = {
    "Visa": "4242424242424242",
    "Visa of 19": "4000000000000000006",
    "Mastercard": "5555555555554444",
    "Mastercard, series 2": "2223003122003222",
    "American Express": "378282246310005",
    "Discover": "6011111111111117",
    "Diners Club of 14": "30569309025904",
    "Diners Club of 16": "3056930009020004",
    "JCB": "3566002020360505",
    "UnionPay": "6205500000000000004",
    "Maestro": "6759649826438453",
    "Mir": "2200000000000004",
}


def grouped(digits: str, separator: str) -> str:
    return separator.join(digits[at : at + 4] for at in range(0, len(digits), 4))


@pytest.mark.parametrize("digits", CARDS.values(), ids=CARDS)
@pytest.mark.parametrize("separator", ["", " ", "-"])
def test_a_card_number_of_every_brand_is_found(digits: str, separator: str) -> None:
    number = grouped(digits, separator)

    assert is_card_number(number)
    assert contains_card_number(f'{{"token": "{number}"}}')
    assert contains_card_number(f"pay with {number}, please".encode())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("4242424242424241", id="fails Luhn"),
        pytest.param("a4242424242424242", id="touches a letter before"),
        pytest.param("4242424242424242a", id="touches a letter after"),
        pytest.param("4242  4242  4242  4242", id="two spaces"),
        pytest.param("4242.4242.4242.4242", id="dots"),
        pytest.param("4222222222222", id="13 digits"),
        pytest.param("42424242424242424242424242", id="26 digits"),
        pytest.param("9999999999999995", id="no brand"),
        pytest.param("3782822463100050", id="not the brand's length"),
        pytest.param("pm_card_visa", id="token"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert not is_card_number(text)
    assert not contains_card_number(text)
    assert mask(text.encode()) == (text.encode(), 0)


@pytest.mark.parametrize(
    ("text", "masked", "count"),
    [
        ("4242424242424242", "****************", 1),
        ("4242 4242 4242 4242", "**** **** **** ****", 1),
        ("no 12 4242 4242 4242 4242 7", "no 12 **** **** **** **** 7", 1),
        ("4242424242424242 5555555555554444", "**************** ****************", 2),
        ("A1 4242424242424242 B", "A1 **************** B", 1),
        ("x4 4242-4242-4242-4242 y", "x4 ****-****-****-**** y", 1),
        ("_4242424242424242_", "_****************_", 1),
        ("é4242424242424242é", "é****************é", 1),
    ],
)
def test_a_card_number_is_masked_digit_by_digit(text: str, masked: str, count: int) -> None:
    assert mask(text.encode()) == (masked.encode(), count)


def test_masking_keeps_every_other_byte_even_of_garbage() -> None:
    garbage = bytes(range(256))

    assert mask(garbage + b" 378282246310005 " + garbage) == (garbage + b" *************** " + garbage, 1)


def test_a_hostile_run_of_groups_is_looked_through_in_bounded_time() -> None:
    assert mask(b"9 " * 100_000)[1] == 0
    assert mask(b"4 " * 50_000)[1] <= 1
    assert mask(b"9" * 1_000_000)[1] == 0


def test_only_digits_are_no_token() -> None:
    assert is_only_digits("12")
    assert is_only_digits("٤٢")
    assert not is_only_digits("12a")
    assert not is_only_digits("")
