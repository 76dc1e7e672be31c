"""`payments choreography`: which reaction answers which event, and what every row of both tables does."""

from collections.abc import Sequence

import click

from deploy.cli.common import emit, emit_json
from deploy.views.tables import table


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "mermaid", "markdown", "json"]),
    default="text",
    show_default=True,
    help="text for people, mermaid and markdown for the READMEs' diagram and table, json for programs.",
)
def choreography(*, form: str) -> None:
    """Print topics, reactions, the rows of both tables, and the edges between statuses, from the code."""
    from consumers.reactions import REACTIONS  # noqa: PLC0415 - keeps --help quick
    from deploy.views import choreography as described  # noqa: PLC0415 - as above

    if form == "json":
        emit_json(described.as_json())
        return
    if form in {"mermaid", "markdown"}:
        made = described.mermaid() if form == "mermaid" else described.markdown()
        for line in made.splitlines():
            emit(line)
        return
    for reaction in REACTIONS:
        emit(f"{reaction.trigger.TYPE} -> {reaction.name}  (consumers/{described.reaction_file(reaction)})")
        plans, settles = described.rows_of(reaction)
        _print("plans", ("order is", "when", "then"), plans)
        _print("settles", ("call", "outcome", "order is", "when", "then"), settles)
        emit("")
    emit("while a cancel is noted, before the rows of any reaction  (domain/cancelling.py)")
    _print("settles", ("call", "outcome", "order is", "when", "then"), described.rows_cancelling())
    emit("")
    emit("what the gateway tells unasked  (consumers/gateway_told.py)")
    _print("told", ("it has", "when", "then"), described.rows_told())
    emit("")
    emit("An event that fits no row has no effect. An outcome that fits no row is undone if it moved money.")
    _print("An order may go", ("from", "to"), described.edges_by_status())


def _print(title: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if rows:
        emit(f"  {title}")
        for line in table(heads, rows):
            emit(f"    {line}")
