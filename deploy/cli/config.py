"""`payments config`: the settings in force, secrets masked."""

import click

from deploy.cli.common import answer, json_option, settings_for_command


@click.command()
@json_option
def config(*, as_json: bool) -> None:
    """Show the settings in force, secrets masked.

    They are checked as every command checks them: wrong ones end with 2 and say what to do.
    """
    masked = settings_for_command().masked()
    answer(masked, (_line(name, value) for name, value in masked.items()), as_json=as_json)


def _line(name: str, value: object) -> str:
    if value is None:
        return f"# {name} is not set"
    return f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
