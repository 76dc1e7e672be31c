"""How the command line is read."""

from collections.abc import Sequence

import click


def numbers(_context: click.Context, _parameter: click.Parameter, value: str) -> list[float]:
    """Read numbers separated by commas; 0 alone is a number, nothing is none."""
    try:
        return [float(part) for part in value.split(",") if part.strip()]
    except ValueError:
        raise click.BadParameter("give numbers, separated by commas") from None


def assignments(_context: click.Context, _parameter: click.Parameter, value: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE."""
    if wrong := [part for part in value if "=" not in part]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE")
    return dict(part.split("=", 1) for part in value)
