"""Every error that PostgreSQL can raise has a family, and the families are those that were decided."""

import re

import psycopg
import pytest
from psycopg import errors

from deploy.embedded.cluster import binaries
from outbox.driver.sqlstates import CLASSES, CODES, Family, family_of, may_pass, verdict

DECIDED = {
    Family.LOST_RACE: "23505 40000 40001 40002 40P01 72000",
    Family.STALE: "26000 42P05 57P05",
    Family.BUSY: "55006 55P03",
    Family.TOO_MUCH: "25P04 53200 53400 57014",
    Family.OUTAGE: "08000 08001 08003 08004 08006 08007 08P01 25006 25P03 28000 28P01 3D000 40003 42501 53000 53100 "
    "53300 57000 57P01 57P02 57P03 57P04 58000 58030 58P01 58P02 58P03 F0000 F0001",
}
"""All but these are bugs or, where a value that we sent is to blame, a message's fault."""
VALUES = {"22", "54"}
FOREIGN_CODE = {"09", "27", "2F", "38", "39", "44", "P0"}
"""Raised by triggers and functions that others have put into our database: about the row that they look at."""


def driver_codes() -> set[str]:
    return {code for code in errors._sqlcodes if re.fullmatch("[0-9A-Z]{5}", code)}


def server_codes() -> set[str]:
    """Read the list that the server's own sources are made from."""
    listed = (binaries().parent / "share" / "errcodes.txt").read_text("utf-8")
    return set(re.findall(r"^([0-9A-Z]{5})\s+E\s", listed, re.MULTILINE))


def test_every_class_of_driver_and_server_has_a_family_and_a_reason() -> None:
    codes = driver_codes() | server_codes()
    assert len(codes) > 240
    assert {code[:2] for code in codes} <= CLASSES.keys()
    assert all(row.why for row in (*CLASSES.values(), *CODES.values()))


def test_no_row_says_what_its_class_says_already() -> None:
    assert [code for code, row in CODES.items() if CLASSES[code[:2]].family is row.family] == []


def test_every_code_belongs_where_it_was_decided() -> None:
    expected = {code: family for family, codes in DECIDED.items() for code in codes.split()}
    for code in driver_codes() | server_codes():
        theirs = (code[:2] in VALUES | FOREIGN_CODE and code != "2200H") or code == "23514"
        fault = Family.MESSAGE if theirs else Family.BUG
        assert verdict(code).family is expected.get(code, fault), code


def test_a_code_of_a_newer_server_has_the_family_of_its_class() -> None:
    assert verdict("57P99").family is Family.OUTAGE
    assert verdict("QX123").family is Family.BUG


@pytest.mark.parametrize(
    ("error", "family"),
    [
        (psycopg.OperationalError("connection refused"), Family.OUTAGE),
        (errors.ConnectionTimeout("connection timeout expired"), Family.OUTAGE),
        (psycopg.InterfaceError("the cursor is closed"), Family.OUTAGE),
        (errors.PipelineAborted("pipeline aborted"), Family.BUG),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), Family.MESSAGE),
        (psycopg.ProgrammingError("the query has 1 placeholder but 0 parameters were passed"), Family.BUG),
        (errors.FeatureNotSupported("no plan of ours is meant"), Family.BUG),
    ],
)
def test_an_error_that_the_driver_made_itself_has_a_family(error: psycopg.Error, family: Family) -> None:
    assert family_of(error) is family
    assert may_pass(error) is (family is Family.OUTAGE)
