"""Compares the mails that came with what the script says: each customer is told exactly once of each thing."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from deploy.demo.mailbox import Mail
from deploy.demo.script import Script, address_of
from outbox.operators.queries import Reading
from schemas.fields import NotificationKind


class Told(NamedTuple):
    """One message to a customer, as the database has it. sent: its receiver took it."""

    event_id: UUID
    order_id: str
    customer_id: str
    kind: str
    sent: bool


def read_told(connection: Reading) -> list[Told]:
    """Read what customers were to be told."""
    query = """
        SELECT event_id, order_id, customer_id, kind, sent_at IS NOT NULL AS sent FROM notification
         ORDER BY occurred_at"""
    return [Told(**row) for row in connection.execute(query)]


def count_waiting(connection: Reading) -> int:
    """Count the messages that are still to be sent."""
    return len(connection.execute("SELECT FROM message WHERE state = 'waiting'").fetchall())


def mail_problems(script: Script, told: Sequence[Told], mails: Sequence[Mail]) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the mails, by order id."""
    came: dict[UUID | None, list[Mail]] = {}
    for mail in mails:
        came.setdefault(mail.event_id, []).append(mail)
    kinds: dict[str, Counter[str]] = {}
    for one in told:
        kinds.setdefault(one.order_id, Counter())[one.kind] += 1
        found = came.pop(one.event_id, [])
        if len(found) != 1:
            yield one.order_id, f"{len(found)} mails say {one.kind}, not 1"
        elif found[0].recipient != address_of(one.customer_id):
            yield one.order_id, f"the mail that says {one.kind} went to another customer"
    for event_id, found in came.items():
        yield str(event_id), f"{len(found)} mails that nobody asked for"
    for order in script.orders:
        said, expected = kinds.get(order.order_id, Counter()), order.story.mails
        if said != Counter(expected):
            yield order.order_id, f"its customer was told {_words(said)}, not {_words(Counter(expected))}"


def one_of_each(told: Sequence[Told], mails: Sequence[Mail]) -> dict[str, Mail]:
    """Return a mail of each kind, in the order of the kinds."""
    by_id: Mapping[UUID | None, Mail] = {mail.event_id: mail for mail in reversed(mails)}
    found: dict[str, Mail] = {}
    for one in told:
        if one.event_id in by_id:
            found.setdefault(one.kind, by_id[one.event_id])
    return {kind: found[kind] for kind in NotificationKind if kind in found}


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "nothing"
