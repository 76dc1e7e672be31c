"""A schema registry over TLS and with a login: each refusal has its own line and exit 3; what is renewed is used."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.connecting.registry import RenewedClients
from deploy.settings import SettingsError, load_settings
from schemas.confluent import ConfluentRegistry
from schemas.models import EVENTS
from schemas.registry import RegistryUnavailable
from tests.deploy.commands import Ran, payments
from tests.schemas.registry_server import registry_server
from tests.secure.certificates import EPOCH, Authority
from tests.secure.front import HOST, Front, front_of

pytestmark = pytest.mark.secure

LOGIN, WRONG = "payments:pass:word", "payments:wr0ng"
URL, CAFILE = "PAYMENTS_SCHEMA_REGISTRY_URL", "PAYMENTS_SCHEMA_REGISTRY_CAFILE"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("our authority")


@pytest.fixture
def ca(authority: Authority, tmp_path: Path) -> Path:
    return authority.write(tmp_path, "ca")


@pytest.fixture
def front(authority: Authority, tmp_path: Path) -> Iterator[Front]:
    with registry_server() as behind, front_of(behind.url, authority.issue("front", hosts=(HOST,)), tmp_path) as front:
        yield front


def asked(folder: Path, url: str, **more: str) -> Ran:
    """Register there, and hold what is told against every secret of these tests."""
    ran = payments(folder, "schemas", "register", **{URL: url, **more})
    assert not [secret for secret in ("pass:word", "wr0ng") if secret in ran.err + ran.out]
    return ran


def refused(folder: Path, url: str, *words: str, **more: str) -> None:
    """Register there: exit 3, one line, these words."""
    ran = asked(folder, url, **more)
    assert ran.code == 3, ran.err + ran.out
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    for word in words:
        assert word in ran.err, ran.err


def test_with_its_authority_and_the_login_every_schema_is_registered(front: Front, ca: Path, tmp_path: Path) -> None:
    front.login = LOGIN
    (tmp_path / "login").write_text(LOGIN + "\n")
    given = {CAFILE: str(ca), "PAYMENTS_SCHEMA_REGISTRY_LOGIN_FILE": str(tmp_path / "login")}
    ran = asked(tmp_path, front.url(), **given)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.endswith(f"{len(EVENTS)} schemas, {len(EVENTS)} registered now, 0 with problems\n")


def test_an_authority_that_we_do_not_trust_is_told(front: Front, tmp_path: Path) -> None:
    refused(tmp_path, front.url(), "nobody issued whom we trust", CAFILE)
    other = Authority("another authority").write(tmp_path, "other")
    refused(tmp_path, front.url(), "nobody issued whom we trust", CAFILE, **{CAFILE: str(other)})


def test_a_certificate_for_another_name_is_told(front: Front, ca: Path, tmp_path: Path) -> None:
    refused(tmp_path, front.url(host="localhost"), "certificate for another name", URL, **{CAFILE: str(ca)})


def test_a_certificate_that_has_expired_is_told(front: Front, authority: Authority, ca: Path, tmp_path: Path) -> None:
    front.show(authority.issue("front", hosts=(HOST,), until=EPOCH + timedelta(days=1)), tmp_path)
    refused(tmp_path, front.url(), "has expired", **{CAFILE: str(ca)})


def test_plain_against_tls_is_told(front: Front, tmp_path: Path) -> None:
    refused(tmp_path, front.url("http"), "speaks TLS only", f"{URL} to https://")


def test_tls_against_plain_is_told(front: Front, ca: Path, tmp_path: Path) -> None:
    plain = front.behind.replace("http://", "https://")
    refused(tmp_path, plain, "speaks no TLS", URL, **{CAFILE: str(ca)})


def test_a_wrong_login_and_none_are_told(front: Front, ca: Path, tmp_path: Path) -> None:
    front.login = LOGIN
    login = "PAYMENTS_SCHEMA_REGISTRY_LOGIN"
    refused(tmp_path, front.url(), "refuses the login", login, **{CAFILE: str(ca)})
    refused(tmp_path, front.url(), "refuses the login", login, **{CAFILE: str(ca), login: WRONG})


def test_nobody_at_the_address_is_told(front: Front, tmp_path: Path) -> None:
    refused(tmp_path, "http://127.0.0.1:1", "no schema registry answers at 127.0.0.1:1", URL)


def test_a_file_without_certificates_is_refused_at_start(front: Front, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("not PEM\n")
    with pytest.raises(SettingsError, match="has no certificates in PEM"):
        load_settings({URL: front.url(), CAFILE: str(tmp_path / "empty.pem")}, directory=tmp_path)


@pytest.fixture
def registry(front: Front, ca: Path, tmp_path: Path) -> Iterator[ConfluentRegistry]:
    """Give what a role asks with, whose login stands in a file."""
    front.login = LOGIN
    (tmp_path / "login").write_text(LOGIN)
    given = {URL: front.url(), CAFILE: str(ca), "PAYMENTS_SCHEMA_REGISTRY_LOGIN_FILE": str(tmp_path / "login")}
    settings = load_settings(given, directory=tmp_path)
    made = ConfluentRegistry.renewed(RenewedClients(front.url(), settings.registry_options))
    yield made
    made.close()


def answers(registry: ConfluentRegistry) -> bool:
    try:
        return registry.versions("PaymentFailed-value", deleted=False) == []
    except RegistryUnavailable:
        return False


def test_a_login_that_was_changed_is_read_again_for_the_next_question(
    front: Front, registry: ConfluentRegistry, tmp_path: Path
) -> None:
    assert answers(registry)
    front.login = "payments:renewed"
    assert not answers(registry)
    (tmp_path / "login").write_text("payments:renewed")
    assert answers(registry)


def test_an_authority_that_was_renewed_is_trusted_by_the_next_question(
    front: Front, registry: ConfluentRegistry, tmp_path: Path
) -> None:
    assert answers(registry)
    renewed = Authority("renewed authority")
    front.show(renewed.issue("front", hosts=(HOST,)), tmp_path)
    assert not answers(registry)
    renewed.write(tmp_path, "ca")
    assert answers(registry)


@pytest.mark.parametrize(("file", "half"), [("login", ""), ("login", "half"), ("ca.pem", "-----BEGIN")])
def test_half_of_a_renewal_leaves_the_last_one_in_use(
    front: Front, registry: ConfluentRegistry, tmp_path: Path, file: str, half: str
) -> None:
    (tmp_path / file).write_text(half)
    assert answers(registry)
    (tmp_path / file).unlink()
    assert answers(registry)
