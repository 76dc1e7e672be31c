"""The comparison with other libraries is not blind; it needs none of them."""

import pytest

from schemas.framing import SINGLE_OBJECT
from schemas.variants import fingerprints
from tests.neighbours.fingerprints.cases import Case, cases, compare

CASES = cases()


def answer(case: Case, fingerprint: bytes) -> str:
    return f"goavro\t{case.name}\t{(SINGLE_OBJECT + fingerprint + case.body).hex()}"


RIGHT = [answer(case, fingerprints(case.schema)["goavro"]) for case in CASES]


def test_answers_as_the_table_says_are_counted() -> None:
    assert compare("goavro", "goavro", RIGHT) == len(CASES)


def test_another_fingerprint_another_event_and_a_schema_that_was_left_out_are_found() -> None:
    others = [answer(CASES[0], fingerprints(CASES[0].schema)["hamba/avro"]), *RIGHT[1:]]
    with pytest.raises(AssertionError, match="goavro names today/"):
        compare("goavro", "goavro", others)
    with pytest.raises(AssertionError, match="was not asked for"):
        compare("goavro", "goavro", RIGHT[1:])
    first = next(case for case in CASES if case.name == "today/OrderConfirmed")
    changed = first.body.replace(b"customer-1", b"customer-2")
    other = RIGHT[CASES.index(first)].replace(first.body.hex(), changed.hex())
    with pytest.raises(AssertionError, match="is another event"):
        compare("goavro", "goavro", [other, *(line for line in RIGHT if line != RIGHT[CASES.index(first)])])
