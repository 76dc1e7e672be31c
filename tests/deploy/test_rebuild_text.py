"""What a rebuild says to people and to programs."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from deploy.views.audit_text import report_lines
from deploy.views.rebuild_text import EXAMPLES, Listing, report_of, summary_lines
from outbox.audit.rebuild import Apart, FieldDifference, Kind, Rebuilt, Verdict
from outbox.audit.report import VIOLATIONS_KEPT_MAX

EQUAL = Rebuilt(equal=5, hash_live="a", hash_topics="a", messages=20)


def differing(order_id: str) -> Verdict:
    return Verdict(order_id, Kind.DIFFERS, fields=(FieldDifference("status", "cancelled", "payment_failed"),))


def apart(order_id: str) -> Verdict:
    return Verdict(order_id, Kind.APART, Apart.UNDER_WAY, "refund pending")


@pytest.fixture
def listing() -> Iterator[Listing]:
    with Listing() as listing:
        yield listing


def test_the_document_lists_every_order_that_is_not_equal_and_the_audit_the_first_of_them(listing: Listing) -> None:
    many = VIOLATIONS_KEPT_MAX + 5
    for n in range(many):
        listing.take(differing(f"order-{n}"))
    for n in range(9):
        listing.take(apart(f"apart-{n}"))
    rebuilt = replace(EQUAL, differing=many, apart=Counter({Apart.UNDER_WAY: 9}), hash_topics="b")
    report = report_of(rebuilt, listing, ["one is on its way"])
    document = json.loads("".join(listing.document(rebuilt, report, 1.5)))
    assert (document["holds"], document["quiescent"]) == (False, False)
    assert [len(document["rebuild"][name]) for name in ("differing", "apart")] == [many, 9]
    fields = [{"field": "status", "live": "cancelled", "topics": "payment_failed"}]
    assert document["rebuild"]["differing"][7] == {"order_id": "order-7", "fields": fields}
    found = {"order_id": "apart-8", "reason": "under_way", "detail": "refund pending"}
    assert document["rebuild"]["apart"][8] == found
    assert document["rebuild"]["reasons"] == {"under_way": 9}
    assert len(document["invariants"][0]["violations"]) == VIOLATIONS_KEPT_MAX

    lines = list(report_lines(report))
    assert "order order-0: status is cancelled, by the topics payment_failed" in lines[1]
    assert f"{many} in all; --json lists more" in "\n".join(lines)
    named = ", ".join(f"apart-{n}: refund pending" for n in range(EXAMPLES))
    assert f"apart, 9: an operation is under way, or goods are still to be released ({named} and 6 more)" in lines[-2]
    assert next(iter(summary_lines(rebuilt, 1.5))) == f"5 orders equal, {many:,} differ, 9 apart; 20 messages in 1.5 s"


def test_if_every_order_is_apart_nothing_is_said_to_hold(listing: Listing) -> None:
    holds = [report_of(r, listing, []).invariants[0].holds for r in (EQUAL, replace(EQUAL, hash_topics="b"))]
    assert holds == [True, False]
    listing.take(apart("one"))
    nothing = replace(EQUAL, equal=0, apart=Counter({Apart.UNDER_WAY: 1}))
    (invariant,) = report_of(nothing, listing, []).invariants
    assert invariant.holds is None


def test_what_was_left_out_is_said(listing: Listing) -> None:
    rebuilt = replace(EQUAL, left_out=["T-0 offset 3: undecodable"], left_out_count=4, two_bodies=2, shortened=("T",))
    (invariant,) = report_of(rebuilt, listing, []).invariants
    assert invariant.notes == (
        "2 event ids have two different messages",
        "first messages were deleted from T",
        "left out: T-0 offset 3: undecodable",
        "left out: 3 more messages",
    )
