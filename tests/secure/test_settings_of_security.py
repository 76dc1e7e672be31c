"""What is made of the settings of security, without a server: contexts, tokens, and what is not loaded."""

import asyncio
import ssl
from pathlib import Path

import pytest

from deploy.connecting.renewed import Certificates, RenewedContext
from deploy.connecting.tokens import NoToken, Token, Tokens, from_file
from deploy.settings import Settings, SettingsError, load_settings
from tests.secure.certificates import Authority

pytestmark = pytest.mark.secure


def test_a_certificate_that_is_written_anew_is_used_by_the_next_connection(tmp_path: Path) -> None:
    first, second = Authority("first"), Authority("second")
    ca = first.write(tmp_path, "ca")
    context = RenewedContext(Certificates(ca=ca))
    before = context.current()
    assert context.current() is before
    second.write(tmp_path, "ca")
    after = context.current()
    assert after is not before
    assert [one["subject"] for one in after.get_ca_certs()] == [((("commonName", "second"),),)]


def test_half_of_a_renewal_leaves_the_last_certificate_in_use(tmp_path: Path) -> None:
    authority = Authority("ours")
    certificate, key = authority.issue("app").write(tmp_path, "client")
    context = RenewedContext(Certificates(authority.write(tmp_path, "ca"), certificate, key))
    before = context.current()
    other = authority.issue("app")
    certificate.write_bytes(other.certificate)
    assert context.current() is before
    key.write_bytes(other.key)
    assert context.current() is not before


def test_the_other_side_is_always_verified(tmp_path: Path) -> None:
    context = RenewedContext(Certificates(Authority("ours").write(tmp_path, "ca"))).current()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_an_encrypted_key_needs_its_password_and_never_asks_for_it(tmp_path: Path) -> None:
    certificate, key = Authority("ours").issue("app").write(tmp_path, "client", password="key-pass")
    given = {
        "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SSL",
        "PAYMENTS_KAFKA_SSL_CERTFILE": str(certificate),
        "PAYMENTS_KAFKA_SSL_KEYFILE": str(key),
    }
    for wrong in ({}, {"PAYMENTS_KAFKA_SSL_KEY_PASSWORD": "other"}):
        with pytest.raises(SettingsError, match="PAYMENTS_KAFKA_SSL_KEY_PASSWORD"):
            load_settings({**given, **wrong}, directory=tmp_path)
    (tmp_path / "password").write_text("key-pass\n")
    given["PAYMENTS_KAFKA_SSL_KEY_PASSWORD_FILE"] = str(tmp_path / "password")
    settings = load_settings(given, directory=tmp_path)
    assert isinstance(settings.kafka_options()["ssl_context"], ssl.SSLContext)
    assert "key-pass" not in str(settings.masked())


def test_a_database_url_in_a_file_is_read_again_for_each_connection(tmp_path: Path) -> None:
    from outbox.driver.conninfo import conninfo_of

    file = tmp_path / "url"
    file.write_text("postgresql://app:old@127.0.0.1/payments\n")
    settings = load_settings({"PAYMENTS_DATABASE_URL_FILE": str(file)}, directory=tmp_path)
    urls = (settings.psycopg_url(), settings.direct_url(), settings.sqlalchemy_url())
    assert all("password=old" in conninfo_of(url) for url in urls)
    file.write_text("postgresql://app:new@127.0.0.1/payments\n")
    assert all("password=new" in conninfo_of(url) for url in urls)
    for broken in ("", "half", "postgresql://app:pa@ss@127.0.0.1/payments:"):
        file.write_text(broken)
        assert all("127.0.0.1" in conninfo_of(url) for url in urls)


class Fetcher:
    """Gives numbered tokens, or none."""

    def __init__(self, life_s: float) -> None:
        self.life_s, self.count, self.down = life_s, 0, False

    async def __call__(self) -> Token:
        if self.down:
            raise NoToken("down")
        self.count += 1
        return Token(f"token {self.count}", self.life_s)


async def test_one_token_serves_connections_of_the_same_time_and_an_old_one_serves_an_outage() -> None:
    now = [0.0]
    fetch = Fetcher(30)
    tokens = Tokens(fetch, lambda: now[0])
    assert await asyncio.gather(*(tokens.token() for _ in range(9))) == ["token 1"] * 9
    now[0] = 7
    assert await tokens.token() == "token 2"
    fetch.down, now[0] = True, 36
    assert await tokens.token() == "token 2"
    now[0] = 38
    with pytest.raises(NoToken):
        await tokens.token()


async def test_a_token_file_is_read_for_each_connection(tmp_path: Path) -> None:
    file = tmp_path / "token"
    tokens = from_file(file)
    with pytest.raises(NoToken, match="PAYMENTS_KAFKA_OAUTH_TOKEN_FILE"):
        await tokens.token()
    for text in ("one", "two"):
        file.write_text(text + "\n")
        assert await tokens.token() == text
    file.write_text("")
    with pytest.raises(NoToken, match="is empty"):
        await tokens.token()


async def test_a_token_for_msk_is_signed_with_the_credentials_of_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """MSK itself cannot be had: this is the token's form, a signed address in base64."""
    import base64

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    settings = Settings(
        kafka_bootstrap_servers="127.0.0.1:1",
        kafka_security_protocol="SASL_SSL",
        kafka_sasl_mechanism="AWS_MSK_IAM",
        kafka_aws_region="eu-central-1",
    )
    options = settings.kafka_options()
    assert options["sasl_mechanism"] == "OAUTHBEARER"
    token = await options["sasl_oauth_token_provider"].token()
    signed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    assert signed.startswith("https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect")
    assert "s3cret" not in signed
