"""What a role that runs says when PostgreSQL refuses its connection or forbids a statement."""

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from domain.errors import DownForEverybody
from outbox.store.faults import in_domain


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('FATAL:  password authentication failed for user "app"\npassword retrieved from file "/x"', "the password"),
        ("SSL error: certificate verify failed", "a certificate that nobody issued whom we trust"),
        ("SSL error: tlsv1 alert unknown ca", "does not trust who issued our certificate"),
    ],
)
def test_a_refused_connection_is_an_outage_that_says_what_to_do(text: str, told: str) -> None:
    found = in_domain(psycopg.OperationalError(f"connection failed: {text}"), contended=False)
    assert isinstance(found, DownForEverybody)
    assert told in str(found)
    assert "PAYMENTS_DATABASE_URL" in str(found)
    assert "\n" not in str(found)


def test_a_server_that_does_not_answer_is_told_as_it_is() -> None:
    found = in_domain(psycopg.OperationalError("connection refused\nis it running?"), contended=False)
    assert str(found) == "PostgreSQL does not answer as it should: connection refused"


def test_a_missing_right_names_the_roles() -> None:
    found = in_domain(InsufficientPrivilege("permission denied for table orders"), contended=False)
    assert isinstance(found, DownForEverybody)
    assert "forbids it (permission denied for table orders)" in str(found)
    assert "payments_app" in str(found)
