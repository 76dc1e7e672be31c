"""A whole pipeline in the test's process: real Kafka, real PostgreSQL, the simulated gateway."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from outbox.driver.connections import Connections
from outbox.schema.migrations import upgrade
from outbox.store import PostgresStore
from schemas.codec import Codec
from tests.consumers.harness import Pipeline, open_pipeline
from tests.consumers.remembered import compare_with_tables
from tests.consumers.telling import join
from tests.servers.databases import fresh_database

MakePipeline = Callable[..., Awaitable[Pipeline]]


@pytest.fixture(scope="session")
def database_template(database_server_url: str) -> Iterator[str]:
    """Migrate a database once; every test's database is a copy of it."""
    with fresh_database(database_server_url, None) as url:
        upgrade(url)
        asyncio.run(_make_partitions(url))
        yield url.rsplit("/", 1)[1]


async def _make_partitions(url: str) -> None:
    store = PostgresStore(Connections(url.replace("+psycopg", ""), 1), Codec().encode)
    await store.maintain()
    await store.close()


@pytest.fixture(autouse=True)
def what_is_remembered_is_true(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold every order that a test's pipeline remembers to its tables, unless the test counts who reads them."""
    if "counted" not in request.fixturenames:
        compare_with_tables(monkeypatch)


@pytest_asyncio.fixture
async def make_pipeline(database_url: str, kafka_bootstrap: str, topic_prefix: str) -> AsyncIterator[MakePipeline]:
    """Make the test's pipeline with settings of its own; no process runs in it yet."""
    async with AsyncExitStack() as stack:

        async def make(**settings: object) -> Pipeline:
            return await stack.enter_async_context(
                open_pipeline(database_url, kafka_bootstrap, topic_prefix, **settings)
            )

        yield make


@pytest_asyncio.fixture
async def pipeline(make_pipeline: MakePipeline) -> Pipeline:
    """Make a pipeline with one process of all roles, and ten of SKU-1 and SKU-2 on the shelf."""
    made = await make_pipeline()
    await made.stock(SKU_1=10, SKU_2=10)
    await made.join()
    return made


@pytest_asyncio.fixture
async def shop(make_pipeline: MakePipeline) -> Pipeline:
    """Make a pipeline with one process and goods for all, whose refunds are listed at its start only."""
    pipeline = await make_pipeline(refund_recheck_s=86_400)
    await pipeline.stock(SKU_1=1_000, SKU_2=1_000)
    await join(pipeline)
    return pipeline
