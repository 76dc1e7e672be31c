"""The instruments of a process, which also tell traces if the settings ask for them."""

from typing import TYPE_CHECKING

from deploy.metrics.instruments import Instruments
from deploy.settings import Settings, SettingsError

if TYPE_CHECKING:
    from domain.ports.tracing import Tracer

NO_LIBRARY = "PAYMENTS_TRACES=otlp needs the extra `traces`: pip install 'payments[traces]', or set PAYMENTS_TRACES=off"


def instruments_of(settings: Settings, roles: str, stalled_after_s: float) -> Instruments:
    """Make the instruments of a process. Raises SettingsError if it shall trace and cannot."""
    if settings.traces == "off":
        return Instruments(settings, roles, stalled_after_s)
    try:
        from deploy.tracing.exporting import otlp_processor  # noqa: PLC0415 - loads OpenTelemetry, of an extra
        from deploy.tracing.recording import OtelRecorder  # noqa: PLC0415 - as above
        from deploy.tracing.traced import TracedInstruments  # noqa: PLC0415 - nobody else tells spans
    except ImportError as error:
        raise SettingsError(NO_LIBRARY) from error
    try:
        recorder = OtelRecorder(otlp_processor())
    except (ValueError, OSError) as error:
        raise SettingsError(f"PAYMENTS_TRACES=otlp: a variable OTEL_* is wrong: {error}") from error
    return TracedInstruments(settings, roles, stalled_after_s, recorder)


def tracer_of(settings: Settings, instruments: Instruments | None) -> "Tracer | None":
    """Return what hears of messages: without instruments it records nothing; None: traces are off."""
    if instruments is not None and instruments.tracer is not None:
        return instruments.tracer
    if settings.traces == "off":
        return None
    from domain.ports.tracing import PassesOn  # noqa: PLC0415 - a relay needs the instruments, and no message's port

    return PassesOn()
