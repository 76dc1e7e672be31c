"""All settings together: what must fit together, and what is made of several."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, model_validator

from deploy.settings import checks, external, security, telling
from deploy.settings.names import setting_name
from deploy.settings.places import mask_database_url, mask_url, url_for
from deploy.settings.sections import (
    Gateway,
    GatewayKind,
    Inventory,
    Operations,
    Places,
    RulesOfOrders,
    Runtime,
    Security,
    Telling,
    Topics,
    Watching,
)


class Settings(Watching, Runtime, RulesOfOrders, Inventory, Telling, Operations, Gateway, Topics, Security, Places):
    """All settings in force, frozen. `load_settings` reads them; the constructor reads nothing.

    Durations are seconds unless the name says otherwise, amounts are minor units, sizes are bytes.
    """

    _secret_files: dict[str, Path] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "Settings":
        checks.check_places(self)
        security.check_security(self)
        checks.check_gateway(self)
        if self.amount_max_minor is not None:
            self.amount_limits()
        self.four_eyes()
        checks.check_texts(self)
        checks.check_webhooks(self)
        telling.check_telling(self)
        external.check_inventory(self)
        checks.check_operations(self)
        checks.check_sizes(self)
        return self

    def note_secret_files(self, files: Mapping[str, Path]) -> None:
        """Keep in which files secrets stand, by environment variable: new connections read them again."""
        self._secret_files.update(files)

    def secret_file(self, field: str) -> Path | None:
        """Return the file in which this secret stands; None: it was set by value, or not at all."""
        return self._secret_files.get(setting_name(field))

    def sqlalchemy_url(self) -> str:
        """Return the database URL for SQLAlchemy, password included. Raises SettingsError if none is set."""
        return url_for(self, "database_url", "postgresql+psycopg")

    def sqlalchemy_direct_url(self) -> str:
        """Return the URL past a pooler for SQLAlchemy; otherwise as direct_url."""
        return url_for(self, self._direct(), "postgresql+psycopg")

    def psycopg_url(self) -> str:
        """Return the database URL for psycopg itself, password included. Raises SettingsError if none is set."""
        return url_for(self, "database_url", "postgresql")

    def direct_url(self) -> str:
        """Return the URL past a pooler for psycopg, password included. Raises SettingsError if no database is set."""
        return url_for(self, self._direct(), "postgresql")

    def _direct(self) -> str:
        return "database_url" if self.database_direct_url is None else "database_direct_url"

    def kafka_options(self) -> dict[str, Any]:
        """Return the connection arguments of every aiokafka client. Raises SettingsError if no Kafka is set."""
        return security.kafka_options(self)

    def registry_options(self) -> dict[str, str]:
        """Return the login and the certificates of the schema registry, as options of its client."""
        return security.registry_options(self)

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
        from deploy.settings import amounts  # noqa: PLC0415 - loads the table of currencies, and some commands need none

        return amounts.amount_limits(self.amount_max_minor)

    def four_eyes(self) -> Mapping[str, int] | None:
        """Return up to which sum of an order's refunds one person decides, by currency; None: there is no limit."""
        if self.four_eyes_minor is None:
            return None
        from deploy.settings import amounts  # noqa: PLC0415 - as above

        return amounts.four_eyes_limits(self.four_eyes_minor)

    def masked(self) -> dict[str, Any]:
        """Return every setting by its environment variable, as JSON values, secrets masked."""
        shown = self.model_dump(mode="json")
        shown["database_url"] = mask_database_url(self.database_url.get_secret_value() if self.database_url else None)
        direct = self.database_direct_url
        shown["database_direct_url"] = mask_database_url(direct.get_secret_value() if direct else None)
        for name in ("schema_registry_url", "notifier_webhook_url", "customer_directory", "kafka_oauth_token_url"):
            shown[name] = mask_url(getattr(self, name))
        shown["smtp_url"] = mask_url(self.smtp_url.get_secret_value() if self.smtp_url else None)
        return {f"PAYMENTS_{field.upper()}": value for field, value in shown.items()}
