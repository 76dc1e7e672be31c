"""TLS of PostgreSQL, verified, on Debian's own; each refusal has its own words. Left out, and said so, without that."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from outbox.driver.conninfo import conninfo_of
from tests.deploy.commands import payments
from tests.secure.certificates import Authority
from tests.secure.postgres import PASSWORD, Tls, needs_postgres, postgres_with_tls

pytestmark = [pytest.mark.secure, pytest.mark.integration, needs_postgres]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("our authority")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Tls]:
    with tempfile.TemporaryDirectory(prefix="payments-tls-") as name:
        own = authority.issue("postgres", hosts=("127.0.0.1",))
        with postgres_with_tls(Path(name) / "on", authority, own) as running:
            yield running


def migrated(folder: Path, url: str) -> str:
    """Migrate there; return what was told, which has no password in it."""
    ran = payments(folder, "migrate", PAYMENTS_DATABASE_URL=url)
    assert PASSWORD not in ran.err + ran.out
    return "" if ran.code == 0 else f"{ran.code} {ran.err}"


def refused(folder: Path, url: str, *words: str) -> None:
    told = migrated(folder, url)
    assert told.startswith("3 "), told
    assert told.count("\n") == 1, told
    for word in (*words, "PAYMENTS_DATABASE_URL"):
        assert word in told


def test_a_verified_server_is_migrated_and_a_client_certificate_is_enough(
    server: Tls, authority: Authority, tmp_path: Path
) -> None:
    ca = str(authority.write(tmp_path, "ca"))
    assert not migrated(tmp_path, server.url(sslmode="verify-full", sslrootcert=ca))
    certificate, key = authority.issue("byname").write(tmp_path, "byname")
    url = server.url(
        user="byname", password="", sslmode="verify-full", sslrootcert=ca, sslcert=str(certificate), sslkey=str(key)
    )
    with psycopg.connect(conninfo_of(url)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("byname",)


def test_a_wrong_authority_is_told(server: Tls, tmp_path: Path) -> None:
    other = str(Authority("another").write(tmp_path, "other"))
    refused(
        tmp_path, server.url(sslmode="verify-full", sslrootcert=other), "nobody issued whom we trust", "sslrootcert"
    )


def test_a_wrong_name_is_told(server: Tls, authority: Authority, tmp_path: Path) -> None:
    ca = str(authority.write(tmp_path, "ca"))
    refused(tmp_path, server.url("localhost", sslmode="verify-full", sslrootcert=ca), "for another name")


def test_a_wrong_password_is_told(server: Tls, authority: Authority, tmp_path: Path) -> None:
    ca = str(authority.write(tmp_path, "ca"))
    url = server.url(password="wr0ng", sslmode="verify-full", sslrootcert=ca)
    refused(tmp_path, url, "refuses the password")
    assert "wr0ng" not in migrated(tmp_path, url)


def test_no_tls_where_it_is_wanted_is_told(server: Tls, tmp_path: Path) -> None:
    refused(tmp_path, server.url(sslmode="disable"), "takes no connection without TLS", "sslmode=verify-full")


def test_a_missing_file_of_the_authority_is_told(server: Tls, tmp_path: Path) -> None:
    refused(tmp_path, server.url(sslmode="verify-full", sslrootcert="/none.pem"), "no such file", "sslrootcert")


def test_a_client_certificate_for_another_user_and_none_at_all_are_told(
    server: Tls, authority: Authority, tmp_path: Path
) -> None:
    ca = str(authority.write(tmp_path, "ca"))
    asked = {"sslmode": "verify-full", "sslrootcert": ca}
    refused(tmp_path, server.url(user="byname", password="", **asked), "wants a certificate of ours", "sslcert=")
    certificate, key = authority.issue("somebody").write(tmp_path, "other")
    url = server.url(user="byname", password="", sslcert=str(certificate), sslkey=str(key), **asked)
    refused(tmp_path, url, "does not take our certificate", "CN")


def test_a_server_without_tls_is_told(authority: Authority, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="payments-tls-") as name:
        own = authority.issue("postgres", hosts=("127.0.0.1",))
        with postgres_with_tls(Path(name) / "off", authority, own, tls=False) as plain:
            ca = str(authority.write(tmp_path, "ca"))
            refused(tmp_path, plain.url(sslmode="verify-full", sslrootcert=ca), "speaks no TLS", "sslmode=")
