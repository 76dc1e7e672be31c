"""Settings of Kafka's security: held against each other, and made into options of a client. No error shows a secret."""

import ssl
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from deploy.settings.checks import is_loopback
from deploy.settings.errors import SettingsError
from deploy.settings.places import EMBEDDED_HINT
from deploy.settings.secrets import reader_of
from outbox.driver.renewed import RenewedText

if TYPE_CHECKING:
    from deploy.connecting.renewed import Certificates
    from deploy.settings.model import Settings

PROTOCOL: Final = "PAYMENTS_KAFKA_SECURITY_PROTOCOL"
MECHANISM: Final = "PAYMENTS_KAFKA_SASL_MECHANISM"
TOKENS: Final = frozenset({"OAUTHBEARER", "AWS_MSK_IAM"})
_OF_TLS: Final = ("kafka_ssl_cafile", "kafka_ssl_certfile", "kafka_ssl_keyfile")
_OF_TOKENS: Final = ("token_url", "client_id", "client_secret", "scope", "cafile", "token_file")
_FILES: Final = (*_OF_TLS, "kafka_oauth_cafile", "schema_registry_cafile")


def check_security(settings: "Settings") -> None:
    """Refuse half a login, and what would not be used: whoever set it believes in it."""
    for name in _FILES:
        path = getattr(settings, name)
        if path is not None and not path.is_file():
            raise ValueError(f"{_name(name)}: there is no file {path}")
    _check_tls(settings)
    _check_login(settings)
    _check_tokens(settings)
    _check_registry(settings)


def _check_tls(settings: "Settings") -> None:
    if settings.kafka_ssl_certfile is None and (settings.kafka_ssl_keyfile or settings.kafka_ssl_key_password):
        raise ValueError("a key is set without its certificate: set PAYMENTS_KAFKA_SSL_CERTFILE")
    if settings.kafka_security_protocol.endswith("SSL"):
        try:
            _certificates(settings).context()
        except OSError as error:
            raise ValueError(_unusable(settings, error)) from None
        return
    used = next((name for name in _OF_TLS[:2] if getattr(settings, name) is not None), None)
    if used is not None:
        raise ValueError(f"{_name(used)} is set but not used: set {PROTOCOL} to SSL or SASL_SSL")


def _unusable(settings: "Settings", error: OSError) -> str:
    """Say which file is wrong."""
    try:
        ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    except OSError:
        return f"PAYMENTS_KAFKA_SSL_CAFILE: {settings.kafka_ssl_cafile} has no certificates in PEM"
    names = "PAYMENTS_KAFKA_SSL_CERTFILE and PAYMENTS_KAFKA_SSL_KEYFILE"
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return f"{names} do not belong together: name a certificate and its own key"
    return (
        f"{names} cannot be used: both must be readable PEM files, and an encrypted key needs its password in "
        "PAYMENTS_KAFKA_SSL_KEY_PASSWORD (or its _FILE)"
    )


def _check_login(settings: "Settings") -> None:
    login = (settings.kafka_sasl_username, settings.kafka_sasl_password)
    if not settings.kafka_security_protocol.startswith("SASL_"):
        if login != (None, None):
            raise ValueError(f"a Kafka login is set but not used: set {PROTOCOL} to SASL_SSL")
    elif settings.kafka_sasl_mechanism in TOKENS:
        if login != (None, None):
            raise ValueError(
                f"PAYMENTS_KAFKA_SASL_USERNAME and _PASSWORD are not used: set {MECHANISM} to PLAIN or SCRAM"
            )
    elif None in login:
        raise ValueError(
            f"{PROTOCOL}={settings.kafka_security_protocol} needs "
            "PAYMENTS_KAFKA_SASL_USERNAME and PAYMENTS_KAFKA_SASL_PASSWORD (or its _FILE)"
        )


def _check_tokens(settings: "Settings") -> None:
    given = {name for name in _OF_TOKENS if getattr(settings, f"kafka_oauth_{name}") is not None}
    mechanism = settings.kafka_sasl_mechanism if settings.kafka_security_protocol.startswith("SASL_") else None
    if mechanism != "OAUTHBEARER" and given:
        raise ValueError(
            f"PAYMENTS_KAFKA_OAUTH_{min(given).upper()} is set but not used: set {PROTOCOL}=SASL_SSL and "
            f"{MECHANISM}=OAUTHBEARER"
        )
    if mechanism != "AWS_MSK_IAM" and settings.kafka_aws_region is not None:
        raise ValueError(
            f"PAYMENTS_KAFKA_AWS_REGION is set but not used: set {PROTOCOL}=SASL_SSL and {MECHANISM}=AWS_MSK_IAM"
        )
    if mechanism == "AWS_MSK_IAM" and settings.kafka_aws_region is None:
        raise ValueError(f"{MECHANISM}=AWS_MSK_IAM needs PAYMENTS_KAFKA_AWS_REGION")
    if mechanism != "OAUTHBEARER" or given == {"token_file"}:
        return
    if not {"token_url", "client_id", "client_secret"} <= given or "token_file" in given:
        raise ValueError(
            f"{MECHANISM}=OAUTHBEARER needs PAYMENTS_KAFKA_OAUTH_TOKEN_FILE alone, or PAYMENTS_KAFKA_OAUTH_TOKEN_URL, "
            "_CLIENT_ID and _CLIENT_SECRET (or its _FILE)"
        )
    url = str(settings.kafka_oauth_token_url)
    if not urlsplit(url).hostname:
        raise ValueError("PAYMENTS_KAFKA_OAUTH_TOKEN_URL must look like https://host/path")
    if url.startswith("http:") and not is_loopback(url):
        raise ValueError("PAYMENTS_KAFKA_OAUTH_TOKEN_URL: a secret is not sent without TLS; use https://")


def _check_registry(settings: "Settings") -> None:
    url, login = settings.schema_registry_url, settings.schema_registry_login
    if login is not None:
        if url is None:
            raise ValueError("PAYMENTS_SCHEMA_REGISTRY_LOGIN is set but not used: set PAYMENTS_SCHEMA_REGISTRY_URL")
        if ":" not in login.get_secret_value():
            raise ValueError("PAYMENTS_SCHEMA_REGISTRY_LOGIN must look like user:password")
        if "@" in urlsplit(url).netloc:
            raise ValueError("PAYMENTS_SCHEMA_REGISTRY_URL and _LOGIN both have a login; leave one out")
        if url.startswith("http:") and not is_loopback(url):
            raise ValueError("PAYMENTS_SCHEMA_REGISTRY_LOGIN: a password is not sent without TLS; use https://")
    if settings.schema_registry_cafile is None:
        return
    if not str(url).startswith("https:"):
        raise ValueError(
            "PAYMENTS_SCHEMA_REGISTRY_CAFILE is set but not used: PAYMENTS_SCHEMA_REGISTRY_URL is no https://"
        )
    try:
        ssl.create_default_context(cafile=settings.schema_registry_cafile)
    except OSError:
        cafile = settings.schema_registry_cafile
        raise ValueError(f"PAYMENTS_SCHEMA_REGISTRY_CAFILE: {cafile} has no certificates in PEM") from None


def kafka_options(settings: "Settings") -> dict[str, Any]:
    """Return the connection arguments of every aiokafka client, and have its connections explain their refusals.

    Secrets and certificates that stand in files are read anew for each connection. Raises SettingsError if no Kafka is
    set.
    """
    if settings.kafka_bootstrap_servers is None:
        raise SettingsError(f"set PAYMENTS_KAFKA_BOOTSTRAP_SERVERS, {EMBEDDED_HINT}")
    from deploy.connecting.kafka import install  # noqa: PLC0415 - a large library, and some commands need no Kafka

    install()
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": protocol,
        "ssl_context": None,
    }
    if protocol.endswith("SSL"):
        from deploy.connecting.renewed import RenewedContext  # noqa: PLC0415 - see _certificates

        options["ssl_context"] = RenewedContext(_certificates(settings))
    if not protocol.startswith("SASL_"):
        return options
    if settings.kafka_sasl_mechanism in TOKENS:
        return {**options, "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": _tokens(settings)}
    password = reader_of(settings, "kafka_sasl_password")
    return {
        **options,
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": RenewedText(password(), password),
    }


def registry_options(settings: "Settings") -> dict[str, str]:
    """Return the options of Confluent's registry client besides the address, as their files are now.

    Raises OSError if the login's file cannot be read.
    """
    options = {}
    if settings.schema_registry_login is not None:
        options["basic.auth.user.info"] = reader_of(settings, "schema_registry_login")()
    if settings.schema_registry_cafile is not None:
        options["ssl.ca.location"] = str(settings.schema_registry_cafile)
    return options


def _certificates(settings: "Settings") -> "Certificates":
    from deploy.connecting.renewed import Certificates  # noqa: PLC0415 - needs the log's library; few use it

    return Certificates(
        settings.kafka_ssl_cafile,
        settings.kafka_ssl_certfile,
        settings.kafka_ssl_keyfile,
        None if settings.kafka_ssl_key_password is None else reader_of(settings, "kafka_ssl_key_password"),
    )


def _tokens(settings: "Settings") -> Any:
    from deploy.connecting import tokens  # noqa: PLC0415 - as above
    from deploy.connecting.renewed import Certificates  # noqa: PLC0415 - as above

    if settings.kafka_sasl_mechanism == "AWS_MSK_IAM":
        return tokens.from_aws(str(settings.kafka_aws_region))
    if settings.kafka_oauth_token_file is not None:
        return tokens.from_file(settings.kafka_oauth_token_file)
    return tokens.from_endpoint(
        tokens.Endpoint(
            str(settings.kafka_oauth_token_url),
            str(settings.kafka_oauth_client_id),
            reader_of(settings, "kafka_oauth_client_secret"),
            settings.kafka_oauth_scope,
            Certificates(settings.kafka_oauth_cafile),
        )
    )


def _name(field: str) -> str:
    return f"PAYMENTS_{field.upper()}"
