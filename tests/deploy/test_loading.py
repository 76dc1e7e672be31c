"""What takes long to load is loaded only by whoever needs it: commands answer in a moment, processes stay small."""

import subprocess
import sys
from typing import Final

import pytest

LOGS: Final = {"structlog"}
HEAVY: Final = {"sqlalchemy", "alembic", "stripe", "confluent_kafka", "aiohttp", "prometheus_client", "aiosmtplib"}


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
