"""What flows: rest in the end, dead letters, copies, processes, and the product's own audit."""

from collections.abc import Iterator
from typing import Final

from tests.chaos.fleet import NOT_REACHED, How
from tests.minds.oracle.case import Asked, Index, Violation

CONFLICT, UNKNOWN = "conflict", "unknown_order"
SHOWN_MAX: Final = 300
FAILS_LATER: Final = "refund fails later"


def check_rest(index: Index) -> Iterator[Violation]:
    """In the end nothing is under way, and every request has its end."""
    for name, count in index.case.found.left.items():
        yield Violation("rest", name, f"{count} are left")
    for row in index.case.found.requests:
        if row.state not in {"done", "refused"} and index.row(row.order_id).status != "manual_review":
            what = f"the {row.kind} is {row.state}"
            yield Violation("rest", f"{row.order_id} {row.request_id}", what, index.where(row.order_id))


def check_reviews(index: Index) -> Iterator[Violation]:
    """See that no order waits for a person, but for a refund that the gateway refuses and no rule can decide on."""
    for order_id, order in index.case.orders.items():
        for event in index.of(order_id, "PaymentReviewRequired"):
            # Captured, disputed and cancelled before it was paid: only a person can say whether it is delivered.
            undecided = order.kind.disputed and not index.of(order_id, "PaidAndConfirmed")
            if order.kind.name != FAILS_LATER and not undecided:
                what = f"it came to a person: {event.fields['reason']}"
                yield Violation("review", order_id, what, index.where(order_id))


def check_letters(index: Index) -> Iterator[Violation]:
    """See that of a request with two contents all but one are refused, what is of nobody is, and nothing else."""
    allowed: dict[str, str] = {}
    for asked in (*index.cancels, *index.refunds):
        if asked.order_id in index.case.nobodies:
            allowed |= dict.fromkeys(asked.messages, UNKNOWN)
            for event_id in asked.messages.keys() - index.letters.keys():
                yield Violation("letter", asked.name, f"its order never came, and it is no dead letter: {event_id}")
        elif index.gave_up(asked) and any(index.letters.get(i) == {UNKNOWN} for i in asked.messages):
            allowed |= dict.fromkeys(asked.messages, UNKNOWN)
        else:
            # Nobody may have been there to give it up, in an outage that was longer than it had to wait.
            yield from _check_contents(index, asked, allowed)
    for event_id, reasons in index.letters.items():
        if reasons != {allowed.get(event_id)}:
            yield Violation(
                "letter", event_id or "a message", f"dead letter for {sorted(reasons)}", _about(index, event_id)
            )
    yield from _check_copies_of_letters(index)


def _check_copies_of_letters(index: Index) -> Iterator[Violation]:
    """Compare the table's letters with the topics': a topic may carry one twice, as any event, but the same bytes."""
    kept = {(letter.where, letter.event_id, letter.reason) for letter in index.case.found.kept}
    shown = {(letter.where, letter.event_id, letter.reason) for letter in index.case.found.letters}
    for where, event_id, reason in sorted(kept - shown):
        yield Violation("letter", event_id or where, f"the table has it, and no topic does: {reason}")
    for where, event_id, reason in sorted(shown - kept):
        yield Violation("letter", event_id or where, f"a topic has it, and the table does not: {reason}")
    known: dict[str, bytes] = {}
    for letter in index.case.found.letters:
        if known.setdefault(letter.where, letter.digest) != letter.digest:
            yield Violation("letter", letter.event_id or letter.where, "differs from its other copy")


def _check_contents(index: Index, asked: Asked, allowed: dict[str, str]) -> Iterator[Violation]:
    contents = asked.contents()
    refused = {content for content, ids in contents.items() if ids & index.letters.keys()}
    if len(contents) > 1:
        for content in refused:
            allowed |= dict.fromkeys(contents[content], CONFLICT)
        missing = [i for content in refused for i in contents[content] - index.letters.keys()]
        if len(refused) != len(contents) - 1 or missing:
            what = f"{len(contents)} contents, and {len(refused)} of them are refused"
            yield Violation("letter", asked.name, what, index.where(asked.order_id))


def _about(index: Index, event_id: str) -> str:
    for sent in index.case.published.sent():
        if sent.message.event_id == event_id:
            said = f"{sent.message.event_type} {sent.message.title} of {sent.message.order_id}"
            return f"{said}; {index.where(sent.message.order_id)}"
    return ""


def check_copies(index: Index) -> Iterator[Violation]:
    """Compare copies: a topic may carry an event twice, but the same bytes."""
    known: dict[str, bytes] = {}
    for event in index.case.found.events:
        event_id = str(event.fields["event_id"])
        if known.setdefault(event_id, event.digest) != event.digest:
            yield Violation("bytes", event.order_id, f"{event.type} {event_id} differs from its other copy")


def check_strangers(index: Index) -> Iterator[Violation]:
    """Look for traces of orders that never came."""
    known = set(index.case.orders)
    for order_id in (index.case.found.orders.keys() | index.events.keys() | index.intents.keys()) - known:
        if order_id in index.case.nobodies:
            yield Violation("stranger", order_id, "there are traces of an order that never came")
    for order_id in known - index.case.found.orders.keys():
        yield Violation("lost", order_id, "the database does not have it", index.where(order_id))


def check_processes(index: Index) -> Iterator[Violation]:
    """See that no process ended by itself (but at a start while a server was away), and that no bug was told."""
    for end in index.case.found.ends:
        gave_up = end.code == NOT_REACHED and not end.ran
        if end.how is How.DID_NOT_DRAIN or (end.how is How.BY_ITSELF and not gave_up):
            yield Violation("ended", end.name, f"{end.how} with {end.code}", str(end.log))
    for bug in index.case.found.bugs:
        yield Violation("bug", "alarm", bug[:SHOWN_MAX])
    for error in index.case.found.harness:
        yield Violation("harness", "the run itself", error[:SHOWN_MAX])


def check_audit(index: Index) -> Iterator[Violation]:
    """See that the product's own audit holds."""
    audit = index.case.found.audit
    if not audit.get("quiescent"):
        yield Violation("audit", "rest", f"it is not quiescent: {audit.get('error', '')}")
    for invariant in audit.get("invariants", ()):
        if invariant["holds"] is not True:
            said = "; ".join(str(one) for one in invariant["violations"][:5]) or "it cannot be said"
            yield Violation("audit", f"{invariant['id']} {invariant['name']}", said[:SHOWN_MAX])
