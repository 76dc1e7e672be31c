"""A rebuild of the deployment that the settings name: its topics folded into a scratch schema, beside its database.

It asks the two databases, Kafka, and a schema registry if one is set. Nobody else: no gateway, no inventory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from deploy.contracts import codec_of
from deploy.failures import WRONG_USAGE, Failure, explain
from deploy.kafka_topics import GROUPS, KafkaTopics
from deploy.readiness import check_session
from deploy.settings import Settings
from deploy.topics import check_present
from outbox.audit import Scope, unfinished_work, wait_until_quiet
from outbox.audit.rebuild import DEFAULT_SCHEMA, Rebuilt, ScratchRefused, Sides, Verdict, open_scratch, rebuild
from outbox.audit.rebuild.said import READ
from outbox.driver.conninfo import connect

INTO = "--into"


@dataclass(frozen=True, slots=True)
class Into:
    """Where to build. url: of any database; None: the live one. keep: leave the schema there."""

    url: str | None = None
    schema: str = DEFAULT_SCHEMA
    keep: bool = False


async def run_rebuild(
    settings: Settings,
    into: Into,
    *,
    wait_s: float | None = None,
    tell: Callable[[Verdict], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
    waiting: Callable[[str], None] = lambda _: None,
) -> tuple[Rebuilt, Sequence[str]]:
    """Wait until the pipeline is quiet, at most wait_s (None: not at all), then compare all orders with the topics.

    tell: gets every order that is not equal, sorted by id. Returns what came of it, and what was still under way when
    it began. Raises Failure for a schema that is not to be used and for what the database of --into does not allow,
    Transient or psycopg.OperationalError for what does not answer.
    """
    await check_present(settings)
    await check_session(settings, "a rebuild")
    reader = KafkaTopics(settings, READ)
    scope = Scope(codec_of(settings), GROUPS, settings.topic_prefix)
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            await connect(settings.direct_url(), name="payments audit", autocommit=True)
        )
        if wait_s is not None:
            await wait_until_quiet(connection, scope, wait_s, lag=reader.lag, progress=waiting)
        under_way = (*await reader.lag(), *await unfinished_work(connection, scope))
        url = into.url or settings.direct_url()
        with naming_into(into):
            scratch = await stack.enter_async_context(open_scratch(url, into.schema, connection, keep=into.keep))
        sides = Sides(connection, scope, reader)
        return await rebuild(sides, scratch, tell=tell, progress=progress), under_way


@contextmanager
def naming_into(into: Into) -> Iterator[None]:
    """Say of an error that it is about the place to build in."""
    try:
        yield
    except ScratchRefused as refused:
        raise Failure(str(refused), WRONG_USAGE) from refused
    except psycopg.Error as error:
        named: Any = explain(error, INTO if into.url is not None else f"the live database, where no {INTO} is given")
        if named is None:
            raise
        raise Failure(named.text, named.exit_code) from error
