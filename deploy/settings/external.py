"""Settings of an external inventory: read, and checked against each other. No error shows a secret."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deploy.settings.checks import is_loopback
from deploy.settings.errors import SettingsError
from domain.lease_margin import LEASE_MARGIN

if TYPE_CHECKING:
    from deploy.settings.model import Settings

BEARER = "PAYMENTS_INVENTORY_TOKEN (or PAYMENTS_INVENTORY_TOKEN_FILE)"
ADDRESS = "PAYMENTS_INVENTORY_URL must look like https://host or https://host:port/path"


def check_inventory(settings: "Settings") -> None:
    """Refuse an address that is not used, and an address or a token that no client could use."""
    url, token = settings.inventory_url, settings.inventory_token
    if settings.inventory == "internal":
        if url is not None:
            raise ValueError("PAYMENTS_INVENTORY_URL is set but not used: set PAYMENTS_INVENTORY=http")
        return
    if url is not None:
        _check_address(url)
    if token is not None:
        secret = token.get_secret_value()
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ValueError(f"{BEARER} must be printable ASCII characters without spaces")
        if url is not None and url.startswith("http:") and not is_loopback(url):
            raise ValueError(f"{BEARER} is not sent without TLS: set PAYMENTS_INVENTORY_URL to https://")
    if settings.lease_s * (1 - LEASE_MARGIN) <= settings.inventory_timeout_s:
        raise ValueError(
            f"PAYMENTS_LEASE_S ({settings.lease_s:g}) must exceed PAYMENTS_INVENTORY_TIMEOUT_S "
            f"({settings.inventory_timeout_s:g}) by more than a ninth: a call must end, and be settled, while its "
            "lease lasts"
        )
    if settings.reservation_ttl_s < 2 * settings.lease_s:
        raise ValueError(
            f"PAYMENTS_RESERVATION_TTL_S ({settings.reservation_ttl_s:g}) must be at least twice PAYMENTS_LEASE_S "
            f"({settings.lease_s:g}) with PAYMENTS_INVENTORY=http: a hold must outlast the capture that it is for"
        )


def inventory_address(settings: "Settings") -> str:
    """Return the external inventory's address, without a slash at its end. Raises SettingsError if none is set."""
    if settings.inventory_url is None:
        raise SettingsError(
            "the external inventory's address is not known: set PAYMENTS_INVENTORY_URL, or let "
            "`payments up --embedded` or `payments embedded` start a sandbox"
        )
    return settings.inventory_url.rstrip("/")


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
        login = parts.username is not None
    except ValueError:
        usable = login = False
    if login:
        raise ValueError(f"PAYMENTS_INVENTORY_URL has a login: set {BEARER} instead")
    if not usable or parts.scheme not in {"http", "https"}:
        raise ValueError(ADDRESS)
