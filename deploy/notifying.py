"""Makes what tells customers, from the settings."""

from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from consumers.adapters.notifier import LogNotifier, QuietNotifier
from deploy.running import now
from deploy.settings import Settings, SettingsError
from deploy.settings.telling import is_url, notifier_secrets, smtp_place, smtp_sender
from domain.ports.messages import CustomerDirectory, Messenger
from domain.ports.notifier import Notifier

if TYPE_CHECKING:
    from consumers.adapters.notifier.texts import Texts


def sends_messages(settings: Settings) -> bool:
    """Whether customers are told, or only the log."""
    return settings.notifier != "log"


def notifier_of(settings: Settings) -> Notifier:
    """Make what hears of notifications while they are recorded."""
    return QuietNotifier() if sends_messages(settings) else LogNotifier()


def messenger_of(settings: Settings) -> Messenger | None:
    """Make what sends messages; None if only the log is told. Raises SettingsError for wrong texts or a wrong file."""
    if settings.notifier == "smtp":
        from consumers.adapters.notifier.smtp import Server, SmtpMessenger  # noqa: PLC0415 - few processes send

        place, sender = smtp_place(settings), smtp_sender(settings)
        assert place is not None
        assert sender is not None
        return SmtpMessenger(Server(*place), sender, _texts(settings.notifier_templates), _directory(settings))
    if settings.notifier == "webhook":
        from consumers.adapters.notifier.webhook import WebhookMessenger  # noqa: PLC0415 - as above

        assert settings.notifier_webhook_url is not None
        return WebhookMessenger(settings.notifier_webhook_url, notifier_secrets(settings), now)
    return None


def say_who_is_told(settings: Settings) -> None:
    """Write a line at start."""
    log = structlog.get_logger("deploy.notifying")
    if sends_messages(settings):
        log.info("customers are told by the sweep", notifier=settings.notifier)
    else:
        log.info("no customer is told: PAYMENTS_NOTIFIER is log; set it to smtp or webhook")


def _texts(folder: Path | None) -> "Texts":
    from consumers.adapters.notifier.texts import Texts, UnusableTexts  # noqa: PLC0415 - as above

    try:
        return Texts(folder)
    except UnusableTexts as error:
        raise SettingsError(f"PAYMENTS_NOTIFIER_TEMPLATES: {error}") from None
    except OSError as error:
        raise SettingsError(
            f"PAYMENTS_NOTIFIER_TEMPLATES: {error.filename} cannot be read ({error.strerror})"
        ) from None


def _directory(settings: Settings) -> CustomerDirectory:
    from consumers.adapters.notifier.directory import (  # noqa: PLC0415 - as above
        FileDirectory,
        UrlDirectory,
        read_customers,
    )

    given = settings.customer_directory
    assert given is not None
    if is_url(given):
        return UrlDirectory(given)
    try:
        read_customers(Path(given))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"PAYMENTS_CUSTOMER_DIRECTORY: {given}: {why}") from None
    return FileDirectory(Path(given))
