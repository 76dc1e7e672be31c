"""What a demo is played on, whoever runs it; and a deployment that runs already, as that of compose.yaml.

Nothing here needs the servers from packages.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient

from deploy.consuming import consumed_with
from deploy.demo.mailbox import HOST, Mailbox, listening
from deploy.demo.script import Script
from deploy.demo.show import Show
from deploy.preparing import set_stock
from deploy.running import run
from deploy.settings import Settings, SettingsError
from domain.errors import DownForEverybody
from outbox.operators.queries import order_list, snapshot
from producers.connection import NO_ANSWER, admin_client

JOIN_S: Final = 60.0
POLL_S: Final = 0.1
ASK_MS: Final = 40_000
STABLE: Final = "Stable"


@dataclass(frozen=True, slots=True)
class Stage:
    """A running pipeline. settings: name its servers. gateway: the sandbox's base URL.

    inventory: that sandbox's base URL; None if the stock is in the database. kafka, postgresql: versions, as far as
    known. last_words: the end of the pipeline's log.
    """

    settings: Settings
    gateway: str
    mailbox: Mailbox
    kafka: str
    postgresql: str
    inventory: str | None = None
    last_words: Callable[[], str] = str


SetUp = Callable[[Show, Script], AbstractContextManager[Stage]]


def deployment(settings: Settings) -> SetUp:
    """Return how to play on the deployment of these settings, which runs already.

    Raises SettingsError unless it plays with play money only, and mails come to this process.
    """
    if settings.gateway != "sandbox" or settings.stripe_api_base is None:
        raise SettingsError(
            "a demo is played with the gateway sandbox only: set PAYMENTS_GATEWAY=sandbox and PAYMENTS_STRIPE_API_BASE"
        )
    if settings.inventory != "internal":
        raise SettingsError("a demo on a running deployment needs PAYMENTS_INVENTORY=internal")
    mail = urlsplit(settings.smtp_url.get_secret_value() if settings.smtp_url else "")
    if settings.notifier != "smtp" or mail.hostname != HOST or mail.port is None:
        raise SettingsError(
            f"the demo takes the mails to customers itself: set PAYMENTS_NOTIFIER=smtp and "
            f"PAYMENTS_SMTP_URL=smtp://{HOST}:PORT?starttls=never for all processes"
        )
    gateway, port = settings.stripe_api_base, mail.port

    @contextmanager
    def set_up(show: Show, script: Script) -> Iterator[Stage]:
        with snapshot(settings.sqlalchemy_url()) as connection:
            if order_list(connection, None, 1):
                raise SettingsError("the deployment has orders already: a demo is played once, on an empty one")
            version = str(connection.info.parameter_status("server_version")).split()[0]
        with ExitStack() as stack:
            with show.step("a mail server, and the stock") as step:
                mailbox = stack.enter_context(listening(port))
                run(set_stock(settings, script.stock, "demo"))
                step.done("a mail server takes what customers are told, the stock is filled")
            with show.step("the consumers of the deployment") as step:
                run(wait_for_groups(settings))
                step.done("all consumers of the deployment have their partitions")
            yield Stage(settings, gateway, mailbox, "that of the deployment", version)

    return set_up


async def wait_for_groups(settings: Settings) -> None:
    """Wait until every consumer group has its members and partitions. Raises DownForEverybody after JOIN_S."""
    async with admin_client(settings.kafka_options(), "payments-demo", "about groups", ASK_MS) as admin:
        try:
            async with asyncio.timeout(JOIN_S):
                for reaction in consumed_with(settings):
                    group = settings.topic_prefix + reaction.group
                    while not await _stable(admin, group):  # noqa: ASYNC110 - Kafka gives no signal when a group is stable
                        await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise DownForEverybody(
                f"the consumers did not share out their partitions within {JOIN_S:g} s: does `payments consume` run?"
            ) from None


async def _stable(admin: AIOKafkaAdminClient, group: str) -> bool:
    """Whether a group has shared out its partitions. One group a request: aiokafka misreads an answer about several."""
    try:
        answers = await admin.describe_consumer_groups([group])
    except NO_ANSWER:
        return False  # its coordinator is not there yet
    return any(group == name and state == STABLE for answer in answers for _, name, state, *_ in answer.groups)
