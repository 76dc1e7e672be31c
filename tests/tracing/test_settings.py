"""Traces are off until a setting turns them on, and then say what is missing."""

import subprocess
import sys

import pytest

from deploy.metrics.instruments import Instruments
from deploy.settings import Settings, SettingsError
from deploy.tracing.instruments import instruments_of, tracer_of
from deploy.tracing.traced import TracedInstruments
from domain.ports.tracing import PassesOn
from tests.tracing.collector import Collector

LOADED = """
import sys
from deploy.roles import roles_until
from deploy.redriving import redriver_of
from deploy.settings import Settings
from deploy.tracing.instruments import instruments_of
instruments_of(Settings(), "all", 300)
print(sorted(name for name in sys.modules if name.startswith("opentelemetry")))
"""
MISSING = """
import sys
sys.modules["opentelemetry"] = None
from deploy.settings import Settings
from deploy.tracing.instruments import instruments_of
instruments_of(Settings(traces="otlp"), "all", 300)
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)


def test_nothing_of_opentelemetry_is_loaded_while_traces_are_off() -> None:
    done = run(LOADED)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_missing_extra_says_how_to_install_it() -> None:
    done = run(MISSING)
    assert "SettingsError: PAYMENTS_TRACES=otlp needs the extra `traces`: pip install 'payments[traces]'" in done.stderr


def test_without_the_setting_a_process_has_no_tracer() -> None:
    instruments = instruments_of(Settings(), "all", 300)
    assert type(instruments) is Instruments
    assert tracer_of(Settings(), instruments) is None


def test_with_the_setting_a_process_records_and_a_command_passes_on(collector: Collector) -> None:
    settings = Settings(traces="otlp")
    instruments = instruments_of(settings, "all", 300)
    assert isinstance(instruments, TracedInstruments)
    assert tracer_of(settings, instruments) is instruments.tracer
    assert isinstance(tracer_of(settings, None), PassesOn)
    instruments._recorder.end()


def test_wrong_variable_of_the_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "-5")
    with pytest.raises(SettingsError, match=r"a variable OTEL_\* is wrong: .*schedule_delay"):
        instruments_of(Settings(traces="otlp"), "all", 300)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_of_traces_is_from_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match="otel_sample"):
        Settings(otel_sample=share)
