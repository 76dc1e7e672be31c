"""How the parts connect: URLs for PostgreSQL, options for Kafka clients."""

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import SecretStr

from deploy.settings.errors import SettingsError

if TYPE_CHECKING:
    from deploy.settings.model import Settings

EMBEDDED_HINT = "or run `payments embedded` and start this where its folder .payments lies"
MASK = "**********"


def url_for(url: SecretStr | None, scheme: str) -> str:
    """Give the database URL another scheme. Raises SettingsError if there is none."""
    if url is None:
        raise SettingsError(f"set PAYMENTS_DATABASE_URL (or PAYMENTS_DATABASE_URL_FILE), {EMBEDDED_HINT}")
    return f"{scheme}://{url.get_secret_value().split('://', 1)[1]}"


def mask_url(url: str | None) -> str | None:
    """Show where something is, never its password, wherever in the URL that stands."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        user = parts.username
    except ValueError:
        return MASK
    login = f"{user}:{MASK}@" if parts.password is not None else f"{user}@" if user else ""
    query = [(name, MASK if "pass" in name.lower() else value) for name, value in parse_qsl(parts.query)]
    asked = f"?{urlencode(query, safe='*')}" if query else ""
    return f"{parts.scheme}://{login}{host}{parts.path}{asked}"


def kafka_client_options(settings: "Settings") -> dict[str, Any]:
    """Options that every aiokafka client takes. Raises SettingsError if no Kafka is set."""
    if settings.kafka_bootstrap_servers is None:
        raise SettingsError(f"set PAYMENTS_KAFKA_BOOTSTRAP_SERVERS, {EMBEDDED_HINT}")
    protocol = settings.kafka_security_protocol
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": protocol,
        "ssl_context": None,
    }
    if protocol in {"SSL", "SASL_SSL"}:
        options["ssl_context"] = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
    if protocol.startswith("SASL_"):
        password = settings.kafka_sasl_password
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = password.get_secret_value() if password else None
    return options
