"""A pipeline as in tests/consumers, whose process tells its traces to a collector of the test's own."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.consumers.conftest import MakePipeline, database_template, make_pipeline
from tests.consumers.harness import Pipeline
from tests.tracing.collector import Collector, collecting

__all__ = ["database_template", "make_pipeline"]

MakeTraced = Callable[..., Awaitable[Pipeline]]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Run a collector; what traces in this test tells it, and soon."""
    with collecting() as made:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        yield made


@pytest_asyncio.fixture
async def make_traced(make_pipeline: MakePipeline, collector: Collector) -> MakeTraced:
    """Make a pipeline whose settings turn traces on, with ten of SKU-1 and SKU-2; no process runs in it yet."""

    async def make(share: float = 1, **settings: Any) -> Pipeline:
        made = await make_pipeline(traces="otlp", otel_sample=share, **settings)
        await made.stock(SKU_1=10, SKU_2=10)
        return made

    return make
