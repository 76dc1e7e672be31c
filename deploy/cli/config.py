"""`payments config`: the settings in force, secrets masked."""

import click

from deploy.cli.common import emit, emit_json, json_option, settings_for_command


@click.command()
@json_option
def config(*, as_json: bool) -> None:
    """Show the settings in force, secrets masked.

    They are checked as every command checks them: wrong ones end with 2 and say what to do.
    """
    masked = settings_for_command().masked()
    if as_json:
        emit_json(masked)
        return
    for name, value in masked.items():
        emit(
            f"# {name} is not set" if value is None else f"{name}={value:g}" if _is_float(value) else f"{name}={value}"
        )


def _is_float(value: object) -> bool:
    return isinstance(value, float)
