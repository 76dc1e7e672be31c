"""Checks of settings against each other. Each error says what to change, and never shows a secret."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deploy.settings.errors import SettingsError
from deploy.settings.places import check_database_url
from domain.lease_margin import LEASE_MARGIN

if TYPE_CHECKING:
    from deploy.settings.model import Settings
    from deploy.settings.sections import GatewayKind

# Stripe forgets an idempotency key after 24 h and then executes it again. One hour is left for a call under way.
UNKNOWN_GIVE_UP_MAX_S = 82_800
WEBHOOK_SECRETS_MAX = 2
LIVE_KEY_PREFIXES = ("sk_live_", "rk_live_")


def is_loopback(address: str) -> bool:
    """Whether the host of a URL is this machine. Names that need a look-up do not count."""
    from domain.wording import is_this_machine  # noqa: PLC0415 - most commands need no rule

    return is_this_machine(urlsplit(address).hostname or "")


def check_places(settings: "Settings") -> None:
    """Refuse an unusable database URL."""
    for name in ("database_url", "database_direct_url"):
        secret = getattr(settings, name)
        if secret is not None:
            check_database_url(f"PAYMENTS_{name.upper()}", secret.get_secret_value())


def check_gateway(settings: "Settings") -> None:
    """Keep play money and real money apart: a sandbox gets no live key and is on this machine."""
    key = settings.stripe_api_key.get_secret_value() if settings.stripe_api_key else ""
    base = settings.stripe_api_base
    if base is not None and urlsplit(base).scheme not in {"http", "https"}:
        raise ValueError("PAYMENTS_STRIPE_API_BASE must begin with https:// (or http:// on this machine)")
    if settings.gateway in {"sandbox", "simulated"}:
        if key.startswith(LIVE_KEY_PREFIXES):
            raise ValueError(
                f"PAYMENTS_GATEWAY={settings.gateway} refuses a live PAYMENTS_STRIPE_API_KEY: "
                "unset it, or use a test key"
            )
        if base is not None and not is_loopback(base):
            raise ValueError(
                f"PAYMENTS_GATEWAY={settings.gateway} refuses a PAYMENTS_STRIPE_API_BASE that is not on this machine: "
                "unset it, or set PAYMENTS_GATEWAY=stripe"
            )
    elif base is not None and base.startswith("http://") and not is_loopback(base):
        raise ValueError("PAYMENTS_STRIPE_API_BASE must be https:// when it is not on this machine")


def check_texts(settings: "Settings") -> None:
    """Refuse templates that Stripe could refuse with an order: then no order fails for one."""
    given = {name: getattr(settings, name) for name in ("statement_suffix", "description", "return_url")}
    if not any(template is not None for template in given.values()):
        return
    from domain import wording  # noqa: PLC0415 - most commands need no rule

    checks = {
        "statement_suffix": wording.check_suffix,
        "description": wording.check_description,
        "return_url": wording.check_return_url,
    }
    for name, template in given.items():
        try:
            if template is not None:
                checks[name](template)
        except ValueError as error:
            raise ValueError(f"PAYMENTS_{name.upper()} {error}") from None


def webhook_secrets(settings: "Settings") -> tuple[str, ...]:
    """Return the secrets of PAYMENTS_STRIPE_WEBHOOK_SECRET."""
    given = settings.stripe_webhook_secret.get_secret_value() if settings.stripe_webhook_secret else ""
    return tuple(secret.strip() for secret in given.split(",")) if given else ()


def check_webhooks(settings: "Settings") -> None:
    """Refuse more than two secrets, and an empty one: it would accept what anybody signs with nothing."""
    secrets = webhook_secrets(settings)
    if len(secrets) > WEBHOOK_SECRETS_MAX or not all(secrets):
        raise ValueError(
            "PAYMENTS_STRIPE_WEBHOOK_SECRET must be one secret, or two with a comma between while it is changed"
        )


def chosen_gateway(settings: "Settings") -> "GatewayKind":
    """Return the chosen gateway. Raises SettingsError if there is none, or stripe has no key."""
    if settings.gateway is None:
        raise SettingsError("set PAYMENTS_GATEWAY to stripe, sandbox or simulated: there is no default for money")
    if settings.gateway == "stripe" and settings.stripe_api_key is None:
        raise SettingsError("PAYMENTS_GATEWAY=stripe needs PAYMENTS_STRIPE_API_KEY (or PAYMENTS_STRIPE_API_KEY_FILE)")
    return settings.gateway


def check_operations(settings: "Settings") -> None:
    """Refuse times that contradict each other: a call that outlives its lease could be made twice."""
    call_s = settings.gateway_connect_timeout_s + settings.gateway_timeout_s
    if settings.lease_s * (1 - LEASE_MARGIN) <= call_s:
        raise ValueError(
            f"PAYMENTS_LEASE_S ({settings.lease_s:g}) must exceed PAYMENTS_GATEWAY_CONNECT_TIMEOUT_S + "
            f"PAYMENTS_GATEWAY_TIMEOUT_S ({call_s:g}) by more than a ninth: a call must end, and be settled, while its "
            "lease lasts"
        )
    if settings.unknown_give_up_s > UNKNOWN_GIVE_UP_MAX_S:
        raise ValueError(
            f"PAYMENTS_UNKNOWN_GIVE_UP_S must be at most {UNKNOWN_GIVE_UP_MAX_S} (23 h): "
            "the gateway forgets its idempotency keys after 24 h"
        )
    if settings.unknown_retry_s >= settings.unknown_give_up_s:
        raise ValueError("PAYMENTS_UNKNOWN_RETRY_S must be below PAYMENTS_UNKNOWN_GIVE_UP_S")
    if settings.backoff_min_s > settings.backoff_max_s:
        raise ValueError("PAYMENTS_BACKOFF_MIN_S must not exceed PAYMENTS_BACKOFF_MAX_S")
    retention_s = settings.inbox_retention_days * 86_400
    if settings.order_max_age_s >= retention_s:
        raise ValueError(
            f"PAYMENTS_ORDER_MAX_AGE_S must be below PAYMENTS_INBOX_RETENTION_DAYS ({retention_s:g} s): "
            "a duplicate must be recognised for as long as an order is accepted"
        )


def check_sizes(settings: "Settings") -> None:
    """Refuse a bound on batches that a single message of allowed size would exceed."""
    if settings.unpacked_bytes_max < 2 * settings.message_bytes_max:
        raise ValueError(
            f"PAYMENTS_UNPACKED_BYTES_MAX ({settings.unpacked_bytes_max}) must be at least twice "
            f"PAYMENTS_MESSAGE_BYTES_MAX ({settings.message_bytes_max}): a batch holds whole messages"
        )
