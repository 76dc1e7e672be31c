"""The parts of a page that differ by reader: topics, rights, numbers, dead letters."""

from deploy.contract_pages.facts import Contract, EventFacts
from deploy.contract_pages.html import Html, join, section, table, tag, text_with_code
from deploy.contract_pages.letters import letter_headers
from deploy.contract_pages.reader import Reader
from deploy.contract_pages.readers import OPERATORS
from deploy.contract_pages.rights import BROKER, Right, commands, rights_of


def topics_part(contract: Contract, reader: Reader) -> Html:
    """Return the table of the topics that the reader writes and reads."""
    rows = [_topic_row(contract.events[event_type], "publish") for event_type in reader.publishes]
    rows += [_topic_row(contract.events[event_type], "subscribe") for event_type in reader.reads]
    return section("topics", "Topics", table(("Event", "You", "Topic", "What it says"), *rows))


def _topic_row(event: EventFacts, role: str) -> tuple[Html | str, ...]:
    link = tag("a", event.event_type, href=f"#{event.event_type}")
    return link, role, tag("code", event.topic), event.doc


def rights_part(contract: Contract, reader: Reader) -> Html:
    """Return the rights that the reader's user needs at the brokers."""
    rights = rights_of(reader, contract.prefix)
    registry = (
        tag("p", "At the schema registry your user must read the subjects of these topics; it registers nothing.")
        if contract.registry
        else None
    )
    older = (
        tag("p", text_with_code("Brokers older than 2.8 also want `IdempotentWrite` on the cluster, to publish."))
        if reader.publishes
        else None
    )
    return section(
        "rights",
        "Rights at Kafka",
        tag(
            "p",
            text_with_code(
                f"What the user `{reader.slug}` needs, and no more. An administrator grants it so, with your brokers "
                f"in place of `{BROKER}`:"
            ),
        ),
        tag("pre", tag("code", "\n".join(_in_two_lines(command) for command in commands(reader, rights)))),
        table(("Resource", "Name", "Operations", "Why"), *map(_right_row, rights)),
        older,
        registry,
    )


def _in_two_lines(command: str) -> str:
    """Break a command before its first operation, as a shell takes it."""
    return command.replace(" --operation", " \\\n  --operation", 1)


def _right_row(right: Right) -> tuple[Html | str, ...]:
    resource = f"{right.resource}s that begin with" if right.pattern == "prefixed" else right.resource
    return resource, tag("code", right.name), ", ".join(right.operations), right.why


def numbers_part(contract: Contract, reader: Reader) -> Html:
    """Return the settings that the reader should know, with their values in force."""
    numbers = (contract.numbers[field] for field in reader.settings)
    rows = ((tag("code", number.name), number.text, number.meaning) for number in numbers)
    return section(
        "numbers",
        "Times and bounds",
        tag("p", "As they are set in this deployment, in our operators' words."),
        table(("Setting", "Value", "Meaning"), *rows),
    )


def dead_letters_part(contract: Contract, reader: Reader) -> Html:
    """Return what becomes of messages of this reader that cannot be processed, and what it does about them."""
    refused = [contract.events[event_type] for event_type in reader.dead_letters]
    if not refused:
        return section(
            "dead-letters",
            "Dead letters",
            tag(
                "p",
                "None concern you: you publish nothing here. A message that we cannot process never moves an order "
                f"on, so you do not see that order; our {OPERATORS} do. What you cannot process yourself is yours to "
                "keep and to repeat: nothing here waits for you.",
            ),
        )
    return section(
        "dead-letters",
        "Dead letters",
        tag(
            "p",
            "A message of yours that can never be processed is copied to ",
            join(*_listed([tag("code", event.dead_letters or "") for event in refused])),
            ", with the reason in a header. Others go on. Watch that topic: what lies there had no effect. Our "
            f"{OPERATORS} see it, too, and can have it processed once more when its cause is mended; a payment token "
            "is kept for that for some days only.",
        ),
        *(_reasons(event) for event in refused),
        tag("h3", "What a dead letter has"),
        tag(
            "p",
            "The message's own key, body and headers, card numbers masked and the payment token hidden behind "
            "asterisks (do not publish such a copy again: it is refused), and these headers:",
        ),
        table(
            ("Header", "Meaning", "Example"),
            *((tag("code", h.name), h.meaning, tag("code", h.example)) for h in letter_headers()),
        ),
    )


def _reasons(event: EventFacts) -> Html:
    rows = (
        (tag("code", reason), text_with_code(meaning), text_with_code(todo))
        for reason, (meaning, todo) in event.refusals.items()
    )
    return join(
        tag("h3", f"Why {event.event_type} may be refused"),
        table(("payments_reason", "What is wrong", "What you do"), *rows),
    )


def _listed(items: list[Html]) -> list[Html]:
    return [join(", " if number else None, item) for number, item in enumerate(items)]
