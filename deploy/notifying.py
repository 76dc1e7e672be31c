"""Makes what tells customers, from the settings."""

from pathlib import Path

import structlog

from consumers.adapters.notifier import LogNotifier, QuietNotifier
from consumers.adapters.notifier.directory import FileDirectory, UrlDirectory, read_customers
from consumers.adapters.notifier.smtp import Server, SmtpMessenger
from consumers.adapters.notifier.texts import Texts, UnusableTexts
from consumers.adapters.notifier.webhook import WebhookMessenger
from deploy.running import now
from deploy.settings import Settings, SettingsError
from deploy.settings.telling import is_url, notifier_secrets, smtp_place, smtp_sender
from domain.ports.messages import CustomerDirectory, Messenger
from domain.ports.notifier import Notifier


def sends_messages(settings: Settings) -> bool:
    """Whether customers are told, or only the log."""
    return settings.notifier != "log"


def notifier_of(settings: Settings) -> Notifier:
    """Make what hears of notifications while they are recorded."""
    return QuietNotifier() if sends_messages(settings) else LogNotifier()


def messenger_of(settings: Settings) -> Messenger | None:
    """Make what sends messages; None if only the log is told. Raises SettingsError for wrong texts or a wrong file."""
    if settings.notifier == "smtp":
        place, sender = smtp_place(settings), smtp_sender(settings)
        assert place is not None
        assert sender is not None
        return SmtpMessenger(Server(*place), sender, _texts(settings.notifier_templates), _directory(settings))
    if settings.notifier == "webhook":
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


def _texts(folder: Path | None) -> Texts:
    try:
        return Texts(folder)
    except UnusableTexts as error:
        raise SettingsError(f"PAYMENTS_NOTIFIER_TEMPLATES: {error}") from None
    except OSError as error:
        raise SettingsError(
            f"PAYMENTS_NOTIFIER_TEMPLATES: {error.filename} cannot be read ({error.strerror})"
        ) from None


def _directory(settings: Settings) -> CustomerDirectory:
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
