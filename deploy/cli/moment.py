"""A time, as an operator types it."""

from datetime import UTC, datetime
from typing import Any

import click


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A time in ISO 8601; without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time: write it as 2026-11-28T23:00:00+00:00", param, ctx)
