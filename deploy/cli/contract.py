"""`payments contract`: what other teams may rely on, as pages, as AsyncAPI 3, and as JSON."""

from pathlib import Path

import click

from deploy.cli.common import answer, emit_json, json_option, settings_for_command
from deploy.failures import WRONG_USAGE, Failure


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write files into this folder; it is made if it is not there. Without it, print on stdout.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "asyncapi", "json"]),
    help="html: the pages and all that they link to; needs --out, and is its default. asyncapi: the AsyncAPI 3 "
    "document, the default without --out. json: all facts as one document.",
)
@json_option
def contract(*, out: Path | None, form: str | None, as_json: bool) -> None:
    """Make the contract for other teams: topics, schemas, examples, rights, codes, times.

    One page a reader (checkout, storefront, customer service, delivery, order preparation, warehouse, accounting,
    analytics) and an index; the AsyncAPI 3 document; every schema; an example of every event as JSON and as bytes, as a
    single object and in a registry's framing. The pages load nothing from elsewhere: any web server, or a browser
    alone, shows them. The same release and settings give the same bytes.

    The settings say how topics are called, how many partitions they have, and which times and bounds hold. Nothing is
    connected to. With --json and --out: the folder and the paths written; with --json alone: as --format json.

    \b
    payments contract --out public/payments
    payments contract > asyncapi.json
    """  # noqa: D301 - click needs the character, not a backslash and a letter
    from deploy.contract_pages import asyncapi, document, facts, pages, writing  # noqa: PLC0415 - keeps --help quick

    if form == "html" and out is None:
        raise Failure("pages are files: say where with --out DIR", WRONG_USAGE)
    made = facts.contract_of(settings_for_command(use_embedded=False))
    if out is None:
        emit_json(
            document.document_of(made) if form == "json" or (as_json and form is None) else asyncapi.asyncapi_of(made)
        )
        return
    files = {"asyncapi": writing.asyncapi_file, "json": writing.document_file}.get(form or "", writing.all_files)(made)
    writing.write_files(out, files)
    shown = out / (pages.INDEX if pages.INDEX in files else next(iter(files)))
    answer({"out": str(out), "files": sorted(files)}, [f"{len(files)} files written: {shown}"], as_json=as_json)
