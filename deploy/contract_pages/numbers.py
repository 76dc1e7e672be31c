"""The settings that other teams feel, with their values in force, as people read them."""

from dataclasses import dataclass
from typing import Any, Final

from deploy.contract_pages.readers import READERS
from deploy.settings import Settings
from deploy.settings.names import setting_name

_UNITS: Final = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


@dataclass(frozen=True, slots=True)
class Number:
    """name: of the environment variable. value: as JSON. text: the value with its unit. meaning: the setting's own."""

    name: str
    value: Any
    text: str
    meaning: str


def numbers_of(settings: Settings) -> dict[str, Number]:
    """Return the settings that some reader should know, by field."""
    fields = dict.fromkeys(field for reader in READERS for field in reader.settings)
    return {field: _number(settings, field) for field in fields}


def duration(seconds: float) -> str:
    """Say a duration in the largest unit that divides it, with the seconds beside it: `15 minutes (900 s)`."""
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count:,} {unit}{'' if count == 1 else 's'} ({seconds:,.0f} s)"
    return f"{seconds:,g} s"


def _number(settings: Settings, field: str) -> Number:
    value = getattr(settings, field)
    return Number(setting_name(field), value, _text(field, value), str(Settings.model_fields[field].description))


def _text(field: str, value: Any) -> str:
    if value is None:
        return "not set"
    if field.endswith("_s"):
        return duration(value)
    if field.endswith("_days"):
        return f"{value:,} days"
    if field.endswith("_bytes_max"):
        return f"{value:,} bytes"
    return f"{value:,}" if isinstance(value, int) else str(value)
