"""The pages: an index, and one for each reader. No page loads anything from elsewhere, and none has a script."""

from typing import Final

from deploy.contract_pages.codes_part import theme_part
from deploy.contract_pages.event_part import event_part
from deploy.contract_pages.facts import Contract, EventFacts
from deploy.contract_pages.html import Html, bullets, join, section, table, tag, text_with_code
from deploy.contract_pages.message_part import message_part
from deploy.contract_pages.reader import Reader
from deploy.contract_pages.reader_parts import dead_letters_part, numbers_part, rights_part, topics_part
from deploy.contract_pages.readers import OPERATORS, READERS
from deploy.contract_pages.style import CSS

INDEX: Final = "index.html"
ASYNCAPI: Final = "asyncapi.json"
DOCUMENT: Final = "contract.json"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def pages_of(contract: Contract) -> dict[str, str]:
    """Return every page by its file name."""
    return {INDEX: _index(contract)} | {file_of(reader): _page_of(contract, reader) for reader in contract.readers}


def file_of(reader: Reader) -> str:
    """Return the file name of a reader's page."""
    return f"{reader.slug}.html"


def _page_of(contract: Contract, reader: Reader) -> str:
    published = [event_part(contract.events[event_type], reader) for event_type in reader.publishes]
    read = [event_part(contract.events[event_type], reader) for event_type in reader.reads]
    return _document(
        contract,
        file_of(reader),
        reader.name,
        tag("p", reader.about),
        section("what-to-do", "What to do", bullets(*map(text_with_code, reader.advice))),
        topics_part(contract, reader),
        rights_part(contract, reader),
        section("publish", "What you publish", *published) if published else None,
        section("subscribe", "What you subscribe to", *read),
        message_part(contract, reader),
        *(theme_part(theme, contract) for theme in reader.themes),
        numbers_part(contract, reader),
        dead_letters_part(contract, reader),
    )


def _index(contract: Contract) -> str:
    readers = ((tag("a", reader.name, href=file_of(reader)), reader.about) for reader in contract.readers)
    names = {reader.slug: reader for reader in READERS}
    events = (
        (
            tag("code", event.topic),
            event.publisher if event.publisher == "payments" else _link(names[event.publisher], event.event_type),
            join(*_with_commas(_readers(event, names))),
            tag("code", event.fingerprint),
        )
        for event in contract.events.values()
    )
    return _document(
        contract,
        INDEX,
        "The contract of payments",
        tag(
            "p",
            "An order that checkout confirms becomes Paid & Confirmed, or its payment has failed and the money is "
            "back. This is what the topics say, and what each team may rely on.",
        ),
        section("readers", "Who are you?", table(("Page", "For you if"), *readers)),
        section(
            "topics",
            "All topics",
            table(("Topic", "Published by", "Read by", "CRC-64-AVRO"), *events),
            tag("p", f"Our {OPERATORS} read PaymentReviewRequired and the dead letters; deploy/README.md is theirs."),
        ),
        section(
            "machines",
            "For machines",
            bullets(
                join(tag("a", ASYNCAPI, href=ASYNCAPI), ": AsyncAPI 3, with topics, schemas and examples"),
                join(tag("a", DOCUMENT, href=DOCUMENT), ": all that these pages say, as JSON"),
                text_with_code("`schemas/` has every Avro schema, `examples/` an example of every event in each form"),
            ),
        ),
    )


def _readers(event: EventFacts, names: dict[str, Reader]) -> list[Html]:
    """Return who reads an event, this module first."""
    ours = [join("payments")] if event.dead_letters else []
    return [*ours, *(_link(names[slug], event.event_type) for slug in event.readers)]


def _link(reader: Reader, anchor: str) -> Html:
    return tag("a", reader.name, href=f"{file_of(reader)}#{anchor}")


def _with_commas(items: list[Html]) -> list[Html]:
    return [join(", " if number else None, item) for number, item in enumerate(items)]


def _document(contract: Contract, file: str, title: str, *parts: Html | None) -> str:
    links = [(INDEX, "Index"), *((file_of(reader), reader.name) for reader in contract.readers)]
    nav = tag("nav", *(join(tag("a", name, href=to, aria_current=_here(to, file)), " ") for to, name in links))
    prefix = "" if not contract.prefix else f" Topics begin with {contract.prefix}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", title if file == INDEX else f"{title} · the contract of payments"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Html(CSS)),
    )
    footer = tag(
        "p",
        f"Release {contract.release}, made by ",
        tag("code", "payments contract"),
        f" from the settings of this deployment.{prefix} ",
        tag("a", ASYNCAPI, href=ASYNCAPI),
        " ",
        tag("a", DOCUMENT, href=DOCUMENT),
        class_="soft",
    )
    body = tag("body", nav, tag("main", tag("h1", title), *parts), tag("footer", footer))
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _here(to: str, file: str) -> str | None:
    return "page" if to == file else None
