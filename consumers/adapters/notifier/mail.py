"""A message as a mail: plain text, and HTML beside it if there is a template for it."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, parseaddr
from typing import Final, NamedTuple

from consumers.adapters.notifier.texts import Written
from domain.decision import Notification

ADDRESS_LENGTH_MAX: Final = 254
_LOCAL: Final = re.compile(r"[^\s@<>()\[\],;:\\\"\x00-\x20\x7f]{1,64}")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


class Sender(NamedTuple):
    """Who the mails are from: as `Shop <no-reply@shop.example>`. address: the part without the name."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """Return the domain, which Message-IDs end with."""
        return self.address.rpartition("@")[2]


class Mail(NamedTuple):
    """A mail as it is handed over. utf8: the receiving server must know SMTPUTF8, for the address needs it."""

    recipient: str
    body: bytes
    utf8: bool


def sender_of(text: str) -> Sender:
    """Read a sender. Raises ValueError if it is none."""
    name, spec = parseaddr(text)
    address = usable(spec)
    if address is None or not address.isascii() or any(not each.isprintable() for each in text):
        raise ValueError("must be an address as no-reply@shop.example, or Shop <no-reply@shop.example>")
    return Sender(name, address)


def usable(email: str) -> str | None:
    """Return the address with its domain in ASCII; None if nothing can be sent to it.

    The local part may have any letters. No character of it can end a header or a command.
    """
    local, at, domain = email.strip().rpartition("@")
    if not at or len(email) > ADDRESS_LENGTH_MAX or not local.isprintable() or not _LOCAL.fullmatch(local):
        return None
    try:
        ascii_domain = domain.encode("idna").decode()
    except UnicodeError:
        return None
    return f"{local}@{ascii_domain}" if _DOMAIN.fullmatch(ascii_domain) and ".." not in ascii_domain else None


def compose(notification: Notification, written: Written, sender: Sender, recipient: str) -> Mail:
    """Write the mail. recipient: a usable address.

    The same message gives the same Message-ID each time, so that a mail that was sent twice can be known.
    """
    utf8 = not recipient.isascii()
    mail = EmailMessage(policy=(SMTPUTF8 if utf8 else SMTP).clone(cte_type="7bit"))
    mail["From"] = _address(sender.address, sender.name)
    mail["To"] = _address(recipient)
    mail["Subject"] = written.subject
    mail["Message-ID"] = f"<{notification.key}@{sender.domain}>"
    mail["Date"] = format_datetime(notification.occurred_at)
    # No automatic answer comes back, and a mail client may show that nobody wrote this by hand.
    mail["Auto-Submitted"] = "auto-generated"
    if written.language:
        mail["Content-Language"] = written.language
    mail.set_content(_sendable(written.text))
    if written.html is not None:
        mail.add_alternative(_sendable(written.html), subtype="html")
    return Mail(recipient, mail.as_bytes(), utf8)


def _address(usable_address: str, name: str = "") -> Address:
    local, _, domain = usable_address.rpartition("@")
    return Address(name, username=local, domain=domain)


def _sendable(text: str) -> str:
    """Replace characters that a mail must not have: controls, and lone surrogates."""
    return (
        "".join(c if c in "\n\t" or (c >= " " and c != "\x7f") else " " for c in text)
        .encode("utf-8", "replace")
        .decode()
    )
