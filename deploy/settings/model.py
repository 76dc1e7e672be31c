"""All settings together: what must fit together, and what is made of several."""

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from deploy.settings import amounts, checks, external, telling
from deploy.settings.places import kafka_client_options, mask_database_url, mask_url, url_for
from deploy.settings.sections import (
    Gateway,
    GatewayKind,
    Inventory,
    Operations,
    Places,
    RulesOfOrders,
    Runtime,
    Telling,
    Topics,
    Watching,
)


class Settings(Watching, Runtime, RulesOfOrders, Inventory, Telling, Operations, Gateway, Topics, Places):
    """All settings in force, frozen. `load_settings` reads them; the constructor reads nothing.

    Durations are seconds unless the name says otherwise, amounts are minor units, sizes are bytes.
    """

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        checks.check_places(self)
        checks.check_gateway(self)
        amounts.amount_limits(self.amount_max_minor)
        amounts.four_eyes_limits(self.four_eyes_minor)
        checks.check_texts(self)
        checks.check_webhooks(self)
        telling.check_telling(self)
        external.check_inventory(self)
        checks.check_operations(self)
        checks.check_sizes(self)
        return self

    def sqlalchemy_url(self) -> str:
        """Return the database URL for SQLAlchemy, password included. Raises SettingsError if none is set."""
        return url_for(self.database_url, "postgresql+psycopg")

    def sqlalchemy_direct_url(self) -> str:
        """Return the URL past a pooler for SQLAlchemy; otherwise as direct_url."""
        return url_for(self.database_direct_url or self.database_url, "postgresql+psycopg")

    def psycopg_url(self) -> str:
        """Return the database URL for psycopg itself, password included. Raises SettingsError if none is set."""
        return url_for(self.database_url, "postgresql")

    def direct_url(self) -> str:
        """Return the URL past a pooler for psycopg, password included. Raises SettingsError if no database is set."""
        return url_for(self.database_direct_url or self.database_url, "postgresql")

    def kafka_options(self) -> dict[str, Any]:
        """Return the connection arguments of every aiokafka client. Raises SettingsError if no Kafka is set."""
        return kafka_client_options(self)

    def webhook_secrets(self) -> tuple[str, ...]:
        """Return the secrets that sign webhooks: none, one, or two while it is changed."""
        return checks.webhook_secrets(self)

    def gateway_kind(self) -> GatewayKind:
        """Return the chosen gateway. Raises SettingsError if there is none, or stripe has no key."""
        return checks.chosen_gateway(self)

    def external_inventory(self) -> str:
        """Return the external inventory's address, without a slash at its end. Raises SettingsError if none is set."""
        return external.inventory_address(self)

    def amount_limits(self) -> Mapping[str, int]:
        """Return the largest total of every currency, in its minor units."""
        return amounts.amount_limits(self.amount_max_minor)

    def four_eyes(self) -> Mapping[str, int] | None:
        """Return up to which sum of an order's refunds one person decides, by currency; None: there is no limit."""
        return amounts.four_eyes_limits(self.four_eyes_minor)

    def masked(self) -> dict[str, Any]:
        """Return every setting by its environment variable, as JSON values, secrets masked."""
        shown = self.model_dump(mode="json")
        shown["database_url"] = mask_database_url(self.database_url.get_secret_value() if self.database_url else None)
        direct = self.database_direct_url
        shown["database_direct_url"] = mask_database_url(direct.get_secret_value() if direct else None)
        for name in ("schema_registry_url", "notifier_webhook_url", "customer_directory"):
            shown[name] = mask_url(getattr(self, name))
        shown["smtp_url"] = mask_url(self.smtp_url.get_secret_value() if self.smtp_url else None)
        return {f"PAYMENTS_{field.upper()}": value for field, value in shown.items()}
