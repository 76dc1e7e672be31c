"""Settings: where they come from, what is refused, and that no secret is shown."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from deploy.settings import SECRET_NAMES, Settings, SettingsError, load_settings, setting_name
from deploy.settings.names import FILE_SUFFIX, is_foreign
from deploy.settings.places import MASK
from deploy.settings.telling import notifier_secrets, smtp_place
from schemas.limits import AMOUNT_MAX_MINOR

README = Path(__file__).parents[2] / "deploy" / "README.md"
LIVE_KEY = "sk_live_0123456789abcdef"
DATABASE = "postgresql://app:hunter2@db.internal:5432/payments"


def load(directory: Path, **environment: str) -> Settings:
    said: list[str] = []
    return load_settings(environment, directory=directory, say=said.append)


def test_nothing_set_gives_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings == Settings()
    assert (settings.database_pool, settings.lease_s, settings.topic_partitions) == (10, 60, 12)
    assert settings.gateway is None


def test_every_default_satisfies_its_own_bounds() -> None:
    assert Settings.model_validate(Settings().model_dump()) == Settings()


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PAYMENTS_LEASE_S=70\nPAYMENTS_BATCH_MAX=10\nPOSTGRES_USER=x\n")
    settings = load(tmp_path, PAYMENTS_LEASE_S="80")
    assert (settings.lease_s, settings.batch_max) == (80, 10)


def test_an_empty_value_counts_as_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, PAYMENTS_LEASE_S="", PAYMENTS_STRIPE_API_KEY="") == Settings()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("PAYMENTS_LEASE_SECONDS", "did you mean PAYMENTS_LEASE_S?"),
        ("PAYMENTS_DATABSE_URL", "did you mean PAYMENTS_DATABASE_URL?"),
        ("PAYMENTS_BATCH_MAX_FILE", "is not a setting"),
        ("PAYMENTS_XYZZY", "see deploy/README.md"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(tmp_path: Path, name: str, hint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **{name: "1"})
    assert name in str(caught.value)
    assert hint in str(caught.value)
    (tmp_path / ".env").write_text(f"{name}=1\n")
    with pytest.raises(SettingsError):
        load(tmp_path)


def test_a_lease_must_leave_time_to_settle_what_a_call_came_to(tmp_path: Path) -> None:
    times = {"PAYMENTS_GATEWAY_CONNECT_TIMEOUT_S": "5", "PAYMENTS_GATEWAY_TIMEOUT_S": "22"}
    with pytest.raises(SettingsError, match="PAYMENTS_LEASE_S"):
        load(tmp_path, PAYMENTS_LEASE_S="30", **times)
    assert load(tmp_path, PAYMENTS_LEASE_S="31", **times).lease_s == 31


def test_names_of_tests_and_of_kubernetes_are_left_alone(tmp_path: Path) -> None:
    foreign = {
        "PAYMENTS_TEST_KAFKA": "localhost:9092",
        "PAYMENTS_SERVICE_HOST": "10.0.0.1",
        "PAYMENTS_PORT": "tcp://10.0.0.1:80",
        "PAYMENTS_PORT_80_TCP_ADDR": "10.0.0.1",
        "PAYMENTS_WEBHOOKS_SERVICE_HOST": "10.0.0.2",
        "PAYMENTS_WEBHOOKS_SERVICE_PORT": "80",
        "PAYMENTS_WEBHOOKS_SERVICE_PORT_HTTP": "80",
        "PAYMENTS_WEBHOOKS_PORT": "tcp://10.0.0.2:80",
        "PAYMENTS_WEBHOOKS_PORT_80_TCP": "tcp://10.0.0.2:80",
        "PAYMENTS_WEBHOOKS_PORT_80_TCP_PROTO": "tcp",
    }
    assert load(tmp_path, **foreign) == Settings()


@pytest.mark.parametrize("name", ["PAYMENTS_WEBHOOKS_PORT", "PAYMENTS_PORTS", "PAYMENTS_SERVICE_NAME"])
def test_what_only_looks_like_a_name_of_kubernetes_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(tmp_path, **{name: "8080"})


def test_no_setting_has_a_name_that_kubernetes_might_inject() -> None:
    names = [setting_name(field) for field in Settings.model_fields]
    names += [name + FILE_SUFFIX for name in SECRET_NAMES]
    assert [name for name in names if is_foreign(name, "tcp://10.0.0.1:80")] == []


OF_A_FORM = {
    "PAYMENTS_DATABASE_URL": DATABASE,
    "PAYMENTS_DATABASE_DIRECT_URL": DATABASE,
    "PAYMENTS_SMTP_URL": "smtp://shop:hunter2@mail.example",
    "PAYMENTS_NOTIFIER_WEBHOOK_SECRET": "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==",
    "PAYMENTS_SCHEMA_REGISTRY_LOGIN": "app:hunter2",
}
"""Secrets that must have a form. The others are any text."""
LOGIN = {
    "PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "PAYMENTS_KAFKA_SASL_USERNAME": "app",
    "PAYMENTS_KAFKA_SASL_PASSWORD": "other",
}
WITH = {
    "PAYMENTS_KAFKA_SASL_PASSWORD": {n: v for n, v in LOGIN.items() if n != "PAYMENTS_KAFKA_SASL_PASSWORD"},
    "PAYMENTS_KAFKA_OAUTH_CLIENT_SECRET": {
        "PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "PAYMENTS_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "PAYMENTS_KAFKA_OAUTH_TOKEN_URL": "https://issuer.example/token",
        "PAYMENTS_KAFKA_OAUTH_CLIENT_ID": "app",
    },
    "PAYMENTS_SCHEMA_REGISTRY_LOGIN": {"PAYMENTS_SCHEMA_REGISTRY_URL": "https://registry.example"},
}
"""What a secret is used with; alone it would be refused."""


@pytest.mark.parametrize("name", sorted(SECRET_NAMES))
def test_a_secret_comes_from_a_file_and_is_never_shown(tmp_path: Path, name: str) -> None:
    secret = OF_A_FORM.get(name, "hunter2")
    (tmp_path / "secret").write_text(secret + "\n")
    more = WITH.get(name, LOGIN)
    if name == "PAYMENTS_KAFKA_SSL_KEY_PASSWORD":
        # What is not TLS is not read, so that any file does here.
        more = {"PAYMENTS_KAFKA_SSL_CERTFILE": __file__}
        with pytest.raises(SettingsError, match="set but not used"):
            load(tmp_path, **more, **{f"{name}_FILE": str(tmp_path / "secret")})
        return
    settings = load(tmp_path, **more, **{f"{name}_FILE": str(tmp_path / "secret")})
    field = getattr(settings, name.removeprefix("PAYMENTS_").lower())
    assert field.get_secret_value() == secret
    shown = repr(settings) + str(settings) + json.dumps(settings.masked())
    assert "hunter2" not in shown
    assert secret not in shown


def test_two_webhook_secrets_stand_with_a_comma_between(tmp_path: Path) -> None:
    assert load(tmp_path).webhook_secrets() == ()
    assert load(tmp_path, PAYMENTS_STRIPE_WEBHOOK_SECRET="old").webhook_secrets() == ("old",)
    assert load(tmp_path, PAYMENTS_STRIPE_WEBHOOK_SECRET="old, new").webhook_secrets() == ("old", "new")


def test_a_secret_given_twice_or_unreadable_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        load(tmp_path, PAYMENTS_STRIPE_API_KEY="a", PAYMENTS_STRIPE_API_KEY_FILE="b")
    with pytest.raises(SettingsError, match="cannot read"):
        load(tmp_path, PAYMENTS_STRIPE_API_KEY_FILE=str(tmp_path / "none"))
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(SettingsError, match="is empty"):
        load(tmp_path, PAYMENTS_STRIPE_API_KEY_FILE=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"PAYMENTS_LEASE_S": "25"}, "PAYMENTS_LEASE_S (25) must exceed"),
        ({"PAYMENTS_LEASE_S": "soon"}, "PAYMENTS_LEASE_S must be a valid number"),
        ({"PAYMENTS_LEASE_S": "nan"}, "PAYMENTS_LEASE_S must be"),
        ({"PAYMENTS_BATCH_MAX": "0"}, "PAYMENTS_BATCH_MAX must be greater than or equal to 1"),
        ({"PAYMENTS_UNKNOWN_GIVE_UP_S": "86400"}, "at most 82800 (23 h)"),
        ({"PAYMENTS_UNKNOWN_GIVE_UP_S": "5"}, "PAYMENTS_UNKNOWN_RETRY_S must be below"),
        ({"PAYMENTS_BACKOFF_MIN_S": "301"}, "must not exceed PAYMENTS_BACKOFF_MAX_S"),
        ({"PAYMENTS_ORDER_MAX_AGE_S": "1209600"}, "PAYMENTS_INBOX_RETENTION_DAYS"),
        ({"PAYMENTS_DATABASE_URL": "mysql://app:hunter2@db/x"}, "must look like postgresql://"),
        ({"PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs PAYMENTS_KAFKA_SASL_USERNAME"),
        ({"PAYMENTS_KAFKA_SASL_PASSWORD": "hunter2"}, "login is set but not used"),
        ({"PAYMENTS_KAFKA_SSL_CAFILE": "/nowhere.pem"}, "there is no file /nowhere.pem"),
        ({"PAYMENTS_KAFKA_SSL_CAFILE": __file__}, "set but not used: set PAYMENTS_KAFKA_SECURITY_PROTOCOL"),
        (
            {"PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SSL", "PAYMENTS_KAFKA_SSL_CAFILE": __file__},
            "has no certificates in PEM",
        ),
        (
            {"PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SSL", "PAYMENTS_KAFKA_SSL_CERTFILE": __file__},
            "cannot be used: both must be readable PEM files",
        ),
        ({"PAYMENTS_KAFKA_SSL_KEY_PASSWORD": "hunter2"}, "a key is set without its certificate"),
        ({"PAYMENTS_KAFKA_OAUTH_SCOPE": "kafka"}, "PAYMENTS_KAFKA_OAUTH_SCOPE is set but not used"),
        (
            {"PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "PAYMENTS_KAFKA_SASL_MECHANISM": "OAUTHBEARER"},
            "needs PAYMENTS_KAFKA_OAUTH_TOKEN_FILE alone, or PAYMENTS_KAFKA_OAUTH_TOKEN_URL",
        ),
        (
            {
                "PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "PAYMENTS_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                "PAYMENTS_KAFKA_OAUTH_TOKEN_URL": "http://issuer.example/token",
                "PAYMENTS_KAFKA_OAUTH_CLIENT_ID": "app",
                "PAYMENTS_KAFKA_OAUTH_CLIENT_SECRET": "hunter2",
            },
            "a secret is not sent without TLS",
        ),
        (
            {"PAYMENTS_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "PAYMENTS_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM"},
            "AWS_MSK_IAM needs PAYMENTS_KAFKA_AWS_REGION",
        ),
        ({"PAYMENTS_SCHEMA_REGISTRY_LOGIN": "app:hunter2"}, "set PAYMENTS_SCHEMA_REGISTRY_URL"),
        (
            {
                "PAYMENTS_SCHEMA_REGISTRY_LOGIN": "app:hunter2",
                "PAYMENTS_SCHEMA_REGISTRY_URL": "http://registry.example",
            },
            "a password is not sent without TLS",
        ),
        ({"PAYMENTS_INVENTORY": "elsewhere"}, "PAYMENTS_INVENTORY must be 'internal' or 'http'"),
        ({"PAYMENTS_INVENTORY_URL": "http://127.0.0.1:1"}, "set PAYMENTS_INVENTORY=http"),
        ({"PAYMENTS_INVENTORY": "http", "PAYMENTS_RESERVATION_TTL_S": "119"}, "at least twice PAYMENTS_LEASE_S"),
        ({"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": "stock:8080"}, "must look like https://host"),
        ({"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": "https://h:70000"}, "must look like https://host"),
        ({"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": "https://h/?x=1"}, "must look like https://host"),
        ({"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_URL": "https://u:hunter2@h"}, "PAYMENTS_INVENTORY_TOKEN"),
        (
            {
                "PAYMENTS_INVENTORY": "http",
                "PAYMENTS_INVENTORY_URL": "http://stock.example",
                "PAYMENTS_INVENTORY_TOKEN": "hunter2",
            },
            "not sent without TLS",
        ),
        ({"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_TOKEN": "hunter2\u00e4"}, "printable ASCII"),
        (
            {"PAYMENTS_INVENTORY": "http", "PAYMENTS_INVENTORY_TIMEOUT_S": "54"},
            "must exceed PAYMENTS_INVENTORY_TIMEOUT_S",
        ),
        ({"PAYMENTS_STRIPE_WEBHOOK_SECRET": "hunter2,hunter2b,hunter2c"}, "one secret, or two"),
        ({"PAYMENTS_STRIPE_WEBHOOK_SECRET": "hunter2,"}, "one secret, or two"),
        ({"PAYMENTS_STRIPE_WEBHOOK_SECRET": " , hunter2"}, "one secret, or two"),
        ({"PAYMENTS_WEBHOOKS_LISTEN": "8080"}, "PAYMENTS_WEBHOOKS_LISTEN"),
        ({"PAYMENTS_WEBHOOK_TOLERANCE_S": "0"}, "PAYMENTS_WEBHOOK_TOLERANCE_S must be greater than 0"),
        ({"PAYMENTS_GATEWAY": "adyen"}, "PAYMENTS_GATEWAY must be 'stripe', 'sandbox' or 'simulated'"),
        ({"PAYMENTS_TOPIC_PREFIX": "a b"}, "PAYMENTS_TOPIC_PREFIX"),
        ({"PAYMENTS_EVENT_BYTES_MAX": "299999"}, "PAYMENTS_EVENT_BYTES_MAX must be greater than or equal to 300000"),
        ({"PAYMENTS_STATEMENT_SUFFIX": "{order_id}"}, "PAYMENTS_STATEMENT_SUFFIX must have at least one letter"),
        ({"PAYMENTS_STATEMENT_SUFFIX": "x" * 23}, "PAYMENTS_STATEMENT_SUFFIX must have at most 22 characters"),
        ({"PAYMENTS_DESCRIPTION": "{customer_id}"}, "PAYMENTS_DESCRIPTION may have one {order_id} and no other braces"),
        ({"PAYMENTS_RETURN_URL": "http://shop.example/"}, "PAYMENTS_RETURN_URL must begin with https://"),
        ({"PAYMENTS_RETURN_URL": "https://a:hunter2@shop.example/"}, "PAYMENTS_RETURN_URL must have no user name"),
        ({"PAYMENTS_RETURN_URL": "https://shop.example/#paid"}, "PAYMENTS_RETURN_URL must have no fragment"),
        ({"PAYMENTS_RETURN_URL": f"https://shop.example/{'p' * 2048}"}, "PAYMENTS_RETURN_URL must have at most 2048"),
        ({"PAYMENTS_NOTIFIER": "mail"}, "PAYMENTS_NOTIFIER must be 'log', 'smtp' or 'webhook'"),
        (
            {"PAYMENTS_NOTIFIER": "smtp", "PAYMENTS_SMTP_URL": "smtp://mail.example"},
            "PAYMENTS_NOTIFIER=smtp needs PAYMENTS_SMTP_FROM and PAYMENTS_CUSTOMER_DIRECTORY",
        ),
        ({"PAYMENTS_NOTIFIER": "webhook"}, "needs PAYMENTS_NOTIFIER_WEBHOOK_URL and PAYMENTS_NOTIFIER_WEBHOOK_SECRET"),
        ({"PAYMENTS_SMTP_URL": "imap://shop:hunter2@mail.example"}, "PAYMENTS_SMTP_URL must look like smtp://"),
        ({"PAYMENTS_SMTP_URL": "smtp://shop:hunter2@mail.example:x"}, "PAYMENTS_SMTP_URL must look like smtp://"),
        ({"PAYMENTS_SMTP_URL": "smtp://mail.example?tls=no"}, "PAYMENTS_SMTP_URL may have ?starttls=never"),
        ({"PAYMENTS_SMTP_URL": "smtps://mail.example?cafile=/nowhere.pem"}, "there is no file /nowhere.pem"),
        (
            {"PAYMENTS_SMTP_URL": "smtp://shop:hunter2@mail.example?starttls=never"},
            "PAYMENTS_SMTP_URL: a password is not sent without TLS",
        ),
        ({"PAYMENTS_SMTP_FROM": "Shop"}, "PAYMENTS_SMTP_FROM must be an address"),
        ({"PAYMENTS_NOTIFIER_TEMPLATES": "/nowhere"}, "PAYMENTS_NOTIFIER_TEMPLATES: there is no folder /nowhere"),
        ({"PAYMENTS_NOTIFIER_WEBHOOK_SECRET": "hunter2"}, "PAYMENTS_NOTIFIER_WEBHOOK_SECRET must be whsec_"),
        ({"PAYMENTS_NOTIFIER_WEBHOOK_URL": "ftp://shop.example"}, "PAYMENTS_NOTIFIER_WEBHOOK_URL"),
        (
            {"PAYMENTS_NOTIFIER_WEBHOOK_URL": "http://shop:hunter2@shop.example/"},
            "PAYMENTS_NOTIFIER_WEBHOOK_URL: a password is not sent without TLS",
        ),
        ({"PAYMENTS_CUSTOMER_DIRECTORY": "https://shop.example/"}, "must have {customer_id} once"),
        ({"PAYMENTS_CUSTOMER_DIRECTORY": "https://{customer_id}.shop.example/"}, "must have {customer_id} once"),
        ({"PAYMENTS_CUSTOMER_DIRECTORY": "/nowhere.csv"}, "there is no file /nowhere.csv"),
        ({"PAYMENTS_CUSTOMER_DIRECTORY": "http://a:hunter2@b.example/{customer_id}"}, "not sent without TLS"),
        ({"PAYMENTS_CLOCK_SKEW_MAX_S": "86401"}, "PAYMENTS_CLOCK_SKEW_MAX_S must be less than or equal to 86400"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(tmp_path: Path, environment: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, **environment)
    text = str(caught.value)
    assert says in text
    assert "\n" not in text
    assert "hunter2" not in text


@pytest.mark.parametrize("gateway", ["sandbox", "simulated"])
@pytest.mark.parametrize(
    "environment",
    [
        {"PAYMENTS_STRIPE_API_KEY": LIVE_KEY},
        {"PAYMENTS_STRIPE_API_KEY": "rk_live_0123456789abcdef"},
        {"PAYMENTS_STRIPE_API_BASE": "https://api.stripe.com"},
        {"PAYMENTS_STRIPE_API_BASE": "http://127.0.0.1.example.com"},
    ],
)
def test_play_money_refuses_live_keys_and_addresses_elsewhere(
    tmp_path: Path, gateway: str, environment: dict[str, str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, PAYMENTS_GATEWAY=gateway, **environment)
    assert LIVE_KEY not in str(caught.value)


def test_a_limit_of_amounts_is_a_number_or_by_currency(tmp_path: Path) -> None:
    assert load(tmp_path).amount_limits() == AMOUNT_MAX_MINOR
    everywhere = load(tmp_path, PAYMENTS_AMOUNT_MAX_MINOR="500").amount_limits()
    assert everywhere == dict.fromkeys(AMOUNT_MAX_MINOR, 500)
    some = load(tmp_path, PAYMENTS_AMOUNT_MAX_MINOR="EUR=500, IDR = 2000000000000")
    assert some.amount_limits() == {**AMOUNT_MAX_MINOR, "EUR": 500, "IDR": 2_000_000_000_000}
    assert some.masked()["PAYMENTS_AMOUNT_MAX_MINOR"] == "EUR=500, IDR = 2000000000000"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("many", "must be a number of minor units, or limits by currency"),
        ("-5", "must be a number of minor units, or limits by currency"),
        ("1,000", "must be a number of minor units, or limits by currency"),
        ("0", "must be 1 to"),
        ("9" * 5_000, "must be 1 to"),
        ("EUR=500,600", "its part 2 has no ="),
        ("EUR=500,", "its part 2 has no ="),
        ("EUR=500,eur=600", "its part 2 does not begin with an ISO 4217 currency"),
        ("ANG=500", "its part 1 does not begin with an ISO 4217 currency"),
        ("EUR=500,EUR=600", "names EUR twice"),
        ("EUR=5.00", "the limit of EUR must be a whole number"),
        ("EUR=", "the limit of EUR must be a whole number"),
        ("IDR=10000000000000000", "the limit of IDR must be 1 to"),
    ],
)
def test_a_wrong_limit_of_amounts_says_what_is_wrong(tmp_path: Path, wrong: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, PAYMENTS_AMOUNT_MAX_MINOR=wrong)
    assert str(caught.value).startswith("PAYMENTS_AMOUNT_MAX_MINOR")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_gateway_has_no_default_and_stripe_needs_a_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="set PAYMENTS_GATEWAY"):
        load(tmp_path).gateway_kind()
    with pytest.raises(SettingsError, match="needs PAYMENTS_STRIPE_API_KEY"):
        load(tmp_path, PAYMENTS_GATEWAY="stripe").gateway_kind()
    assert load(tmp_path, PAYMENTS_GATEWAY="stripe", PAYMENTS_STRIPE_API_KEY=LIVE_KEY).gateway_kind() == "stripe"


def test_missing_places_say_how_to_set_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="PAYMENTS_DATABASE_URL"):
        load(tmp_path).sqlalchemy_url()
    with pytest.raises(SettingsError, match="PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"):
        load(tmp_path).kafka_options()


def test_urls_are_given_in_the_form_each_library_wants(tmp_path: Path) -> None:
    settings = load(tmp_path, PAYMENTS_DATABASE_URL=DATABASE)
    assert settings.psycopg_url() == DATABASE
    assert settings.sqlalchemy_url() == DATABASE.replace("postgresql", "postgresql+psycopg")
    assert settings.masked()["PAYMENTS_DATABASE_URL"] == "postgresql://app:**********@db.internal:5432/payments"


def test_a_password_in_the_query_is_masked_too(tmp_path: Path) -> None:
    settings = load(tmp_path, PAYMENTS_DATABASE_URL="postgresql:///payments?host=/run&password=hunter2")
    assert settings.masked()["PAYMENTS_DATABASE_URL"] == "postgresql:///payments?host=%2Frun&password=**********"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://app:hunter2@h1:5432,h2:5433/db", "postgresql://app:**********@h1:5432,h2:5433/db"),
        ("postgresql://app:hunter2@[::1]:5432,[fe80::1]/db", "postgresql://app:**********@[::1]:5432,[fe80::1]/db"),
        ("postgresql+psycopg://app:hunter2%40%2F%3A@h/db", "postgresql+psycopg://app:**********@h/db"),
        ("postgresql://app:hunter2:?#[]@h/db", "postgresql://app:**********@h/db"),
        ("postgresql://app:hunter2@%2Fvar%2Frun/db", "postgresql://app:**********@%2Fvar%2Frun/db"),
        ("postgresql://h1,h2/db?password=hunter2&user=app", "postgresql://h1,h2/db?password=**********&user=app"),
        ("postgres://app@h1,h2:5433/db?sslpassword=hunter2", "postgres://app@h1,h2:5433/db?sslpassword=**********"),
        (
            "postgresql://h1:1,h2:2/db?target_session_attrs=read-write",
            "postgresql://h1:1,h2:2/db?target_session_attrs=read-write",
        ),
    ],
)
def test_a_url_of_any_form_is_shown_without_its_password(tmp_path: Path, url: str, shown: str) -> None:
    settings = load(tmp_path, PAYMENTS_DATABASE_URL=url, PAYMENTS_DATABASE_DIRECT_URL=url)
    assert settings.masked()["PAYMENTS_DATABASE_URL"] == shown
    assert settings.masked()["PAYMENTS_DATABASE_DIRECT_URL"] == shown
    assert settings.psycopg_url().partition("://")[2] == url.partition("://")[2]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:hunter2@sub@h/db",
        "postgresql://app:hunter2/sub@h/db",
        "postgresql://app:12345/hunter2@h/db",
        "postgresql://app:hunter2%zz@h/db",
        "postgresql://h1:5432,h2:hunter2/db",
        "postgresql://h1:1,h2:2,h3/db?port=1,2",
        "postgresql://h/db?hunter2=hunter2",
        "postgresql:h/db?password=hunter2",
    ],
)
@pytest.mark.parametrize("name", ["PAYMENTS_DATABASE_URL", "PAYMENTS_DATABASE_DIRECT_URL"])
def test_a_url_that_libpq_would_misread_is_refused_without_being_shown(tmp_path: Path, name: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} must look like") as caught:
        load(tmp_path, **{name: url})
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_of_the_registry_is_masked(tmp_path: Path) -> None:
    settings = load(tmp_path, PAYMENTS_SCHEMA_REGISTRY_URL="https://app:hunter2@registry:8081")
    assert settings.masked()["PAYMENTS_SCHEMA_REGISTRY_URL"] == "https://app:**********@registry:8081"
    assert "hunter2" not in repr(settings)


def test_an_embedded_run_that_lies_here_is_used_and_said(tmp_path: Path) -> None:
    (tmp_path / ".payments").mkdir()
    env = tmp_path / ".payments" / "env"
    env.write_text(
        f"PAYMENTS_DATABASE_URL={DATABASE}\nPAYMENTS_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1\n"
        "PAYMENTS_GATEWAY=sandbox\nPAYMENTS_STRIPE_API_BASE=http://127.0.0.1:2\nPAYMENTS_TOPIC_REPLICATION_FACTOR=1\n"
    )
    said: list[str] = []
    settings = load_settings({"PAYMENTS_TOPIC_REPLICATION_FACTOR": "2"}, directory=tmp_path, say=said.append)
    assert said == [f"using the embedded servers of {env}"]
    assert settings.kafka_bootstrap_servers == "127.0.0.1:1"
    assert settings.gateway == "sandbox"
    assert settings.topic_replication_factor == 2

    assert load(tmp_path, PAYMENTS_GATEWAY="simulated").stripe_api_base is None
    assert load(tmp_path, PAYMENTS_KAFKA_BOOTSTRAP_SERVERS="k:9092").database_url is None
    assert load_settings({}, directory=tmp_path, use_embedded=False) == Settings()
    env.rename(tmp_path / "env")
    assert load(tmp_path, PAYMENTS_DATA=".").kafka_bootstrap_servers == "127.0.0.1:1"


def test_demo_and_tests_can_leave_stripe_settings_out(tmp_path: Path) -> None:
    environment = {"PAYMENTS_STRIPE_API_KEY": LIVE_KEY, "PAYMENTS_STRIPE_WEBHOOK_SECRET_FILE": "/nowhere"}
    settings = load_settings(
        environment, directory=tmp_path, overrides={"PAYMENTS_GATEWAY": "sandbox"}, ignore_stripe=True
    )
    assert settings == Settings(gateway="sandbox")


def test_the_readme_lists_every_setting_with_its_default() -> None:
    rows = {}
    for line in README.read_text().splitlines():
        if line.startswith("| `PAYMENTS_"):
            name, default, _ = (cell.strip() for cell in line.strip("|").split("|", 2))
            rows[name.strip("`")] = default.strip("`")
    masked = Settings().masked()
    expected = {
        setting_name(field): "none"
        if masked[setting_name(field)] is None
        else f"{value:g}"
        if isinstance(value := masked[setting_name(field)], float)
        else str(value)
        for field in Settings.model_fields
    }
    assert rows == expected


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("smtp://mail.example", ("mail.example", 587, False, True, None, None, None)),
        ("smtp://a%40b:p%2Fw@mail.example:2525", ("mail.example", 2525, False, True, "a@b", "p/w", None)),
        ("smtps://a:b@mail.example/", ("mail.example", 465, True, False, "a", "b", None)),
        ("smtp://mail.example?starttls=never", ("mail.example", 587, False, False, None, None, None)),
        ("smtp://a:b@127.0.0.1:25", ("127.0.0.1", 25, False, False, "a", "b", None)),
        ("smtp://a:b@localhost:25?starttls=required", ("localhost", 25, False, True, "a", "b", None)),
        ("smtp://[::1]:25", ("::1", 25, False, False, None, None, None)),
    ],
)
def test_tls_is_demanded_of_a_mail_server_that_is_elsewhere(
    tmp_path: Path, url: str, place: tuple[object, ...]
) -> None:
    assert smtp_place(load(tmp_path, PAYMENTS_SMTP_URL=url)) == place


def test_places_of_messages_are_shown_without_their_passwords(tmp_path: Path) -> None:
    shown = load(
        tmp_path,
        PAYMENTS_SMTP_URL="smtps://shop:hunter2@mail.example",
        PAYMENTS_NOTIFIER_WEBHOOK_URL="https://shop:hunter2@shop.example/told",
        PAYMENTS_CUSTOMER_DIRECTORY="https://shop:hunter2@shop.example/c/{customer_id}",
    ).masked()
    assert shown["PAYMENTS_SMTP_URL"] == f"smtps://shop:{MASK}@mail.example"
    assert shown["PAYMENTS_NOTIFIER_WEBHOOK_URL"] == f"https://shop:{MASK}@shop.example/told"
    assert shown["PAYMENTS_CUSTOMER_DIRECTORY"] == f"https://shop:{MASK}@shop.example/c/{{customer_id}}"


def test_two_secrets_sign_messages_while_they_are_changed(tmp_path: Path) -> None:
    one, other = ("whsec_" + b64encode(each * 24).decode() for each in (b"0", b"1"))
    assert notifier_secrets(load(tmp_path)) == ()
    assert notifier_secrets(load(tmp_path, PAYMENTS_NOTIFIER_WEBHOOK_SECRET=f"{one}, {other}")) == (
        b"0" * 24,
        b"1" * 24,
    )
