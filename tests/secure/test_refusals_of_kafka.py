"""Each way in which a broker refuses a connection has its own words, which say what to do; the command exits with 3."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.deploy.commands import payments
from tests.secure.broker import PASSWORD, USER
from tests.secure.certificates import EPOCH, Authority
from tests.secure.conftest import Secured
from tests.secure.issuer import CLIENT, SECRET

pytestmark = [pytest.mark.secure, pytest.mark.integration]

WRONG = "wr0ng-pass"
SECRETS = (PASSWORD, WRONG, SECRET)


def settings(address: str, protocol: str, **more: str | Path) -> dict[str, str]:
    named = {f"PAYMENTS_KAFKA_{name.upper()}": str(value) for name, value in more.items()}
    return {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": address,
        "PAYMENTS_KAFKA_SECURITY_PROTOCOL": protocol,
        "PAYMENTS_TOPIC_REPLICATION_FACTOR": "1",
        **named,
    }


def login(password: str = PASSWORD, user: str = USER, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
    return {"sasl_username": user, "sasl_password": password, "sasl_mechanism": mechanism}


def refused(folder: Path, given: dict[str, str], *words: str) -> None:
    """Ask for topics with these settings: exit 3, one line, these words, and no secret."""
    ran = payments(folder, "topics", "create", **given)
    assert ran.code == 3, ran.err + ran.out
    assert len(ran.err.strip().splitlines()) == 1, ran.err
    for word in words:
        assert word in ran.err, ran.err
    assert "no Kafka broker answers" not in ran.err
    assert not [secret for secret in SECRETS if secret in ran.err + ran.out]


def test_a_wrong_password_is_told_as_one(secured: Secured, tmp_path: Path) -> None:
    given = settings(secured.kafka.at("LOGIN"), "SASL_SSL", ssl_cafile=secured.ca, **login(WRONG))
    refused(tmp_path, given, "refuses the login", "PAYMENTS_KAFKA_SASL_PASSWORD")


def test_an_unknown_user_of_plain_is_told_as_a_refused_login(secured: Secured, tmp_path: Path) -> None:
    given = settings(secured.kafka.at("OPEN"), "SASL_PLAINTEXT", **login(WRONG, "nobody", "PLAIN"))
    refused(tmp_path, given, "refuses the login", "PAYMENTS_KAFKA_SASL_USERNAME")


def test_an_authority_that_we_do_not_trust_is_told(secured: Secured, tmp_path: Path) -> None:
    other = Authority("another authority").write(tmp_path, "other")
    given = settings(secured.kafka.at("TLS"), "SSL", ssl_cafile=other)
    refused(tmp_path, given, "nobody issued whom we trust", "PAYMENTS_KAFKA_SSL_CAFILE")


def test_a_certificate_for_another_name_is_told(secured: Secured, tmp_path: Path) -> None:
    given = settings(secured.kafka.at("TLS", "localhost"), "SSL", ssl_cafile=secured.ca)
    refused(tmp_path, given, "certificate for another name", "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS")


@pytest.mark.parametrize(
    ("listener", "protocol", "wanted"),
    [("TLS", "PLAINTEXT", "SSL"), ("LOGIN", "SASL_PLAINTEXT", "SASL_SSL")],
)
def test_plain_against_tls_is_told(secured: Secured, tmp_path: Path, listener: str, protocol: str, wanted: str) -> None:
    more = login() if protocol.startswith("SASL") else {}
    given = settings(secured.kafka.at(listener), protocol, **more)
    refused(tmp_path, given, "speaks TLS only", f"PAYMENTS_KAFKA_SECURITY_PROTOCOL={wanted}")


@pytest.mark.parametrize(
    ("listener", "protocol", "wanted"),
    [("", "SSL", "PLAINTEXT"), ("OPEN", "SASL_SSL", "SASL_PLAINTEXT")],
)
def test_tls_against_plain_is_told(secured: Secured, tmp_path: Path, listener: str, protocol: str, wanted: str) -> None:
    address = secured.kafka.at(listener) if listener else secured.kafka.address
    more = login() if protocol.startswith("SASL") else {}
    given = settings(address, protocol, ssl_cafile=secured.ca, **more)
    refused(tmp_path, given, "speaks no TLS", f"PAYMENTS_KAFKA_SECURITY_PROTOCOL={wanted}")


def test_a_missing_client_certificate_is_told(secured: Secured, tmp_path: Path) -> None:
    given = settings(secured.kafka.at("MTLS"), "SSL", ssl_cafile=secured.ca)
    refused(tmp_path, given, "certificate", "PAYMENTS_KAFKA_SSL_CERTFILE")


def test_a_client_certificate_of_an_unknown_issuer_is_told(secured: Secured, tmp_path: Path) -> None:
    certificate, key = Authority("another authority").issue(USER).write(tmp_path, "client")
    given = settings(secured.kafka.at("MTLS"), "SSL", ssl_cafile=secured.ca, ssl_certfile=certificate, ssl_keyfile=key)
    refused(tmp_path, given, "our certificate", "trust")


def test_a_client_certificate_that_has_expired_is_told(secured: Secured, tmp_path: Path) -> None:
    expired = secured.authority.issue(USER, until=EPOCH + timedelta(days=1))
    certificate, key = expired.write(tmp_path, "client")
    given = settings(secured.kafka.at("MTLS"), "SSL", ssl_cafile=secured.ca, ssl_certfile=certificate, ssl_keyfile=key)
    refused(tmp_path, given, "our certificate", "expired")


def test_no_login_where_one_is_wanted_is_told(secured: Secured, tmp_path: Path) -> None:
    refused(tmp_path, settings(secured.kafka.at("OPEN"), "PLAINTEXT"), "wants a login", "SASL_PLAINTEXT")
    given = settings(secured.kafka.at("LOGIN"), "SSL", ssl_cafile=secured.ca)
    refused(tmp_path, given, "wants a login", "PAYMENTS_KAFKA_SECURITY_PROTOCOL=SASL_SSL")


def test_a_login_where_none_is_taken_is_told(secured: Secured, tmp_path: Path) -> None:
    given = settings(secured.kafka.address, "SASL_PLAINTEXT", **login())
    refused(tmp_path, given, "takes no login", "PAYMENTS_KAFKA_SECURITY_PROTOCOL=PLAINTEXT")


def test_a_token_that_the_broker_does_not_accept_is_told(secured: Secured, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(secured.issuer.token(audience="somebody else"))
    given = settings(secured.kafka.at("OPEN"), "SASL_PLAINTEXT", sasl_mechanism="OAUTHBEARER", oauth_token_file=file)
    refused(tmp_path, given, "does not accept the token", "audience")


def test_a_token_endpoint_that_refuses_us_is_told(secured: Secured, tmp_path: Path) -> None:
    given = settings(
        secured.kafka.at("OPEN"),
        "SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        oauth_token_url=secured.issuer.url + "/token",
        oauth_client_id=CLIENT,
        oauth_client_secret=WRONG,
    )
    refused(tmp_path, given, "HTTP 401", "PAYMENTS_KAFKA_OAUTH_CLIENT_SECRET")
