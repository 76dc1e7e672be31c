"""What the READMEs say of the choreography is what the code does."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from consumers.reactions import REACTIONS
from deploy.cli import main
from deploy.views import choreography
from domain.order import Status
from schemas.topics import TOPICS

ROOT = Path(__file__).parents[2]


def printed(form: str) -> str:
    result = CliRunner().invoke(main, ["choreography", "--format", form])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_diagram_of_the_readme_is_the_printed_one() -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)\n```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert diagram == printed("mermaid").strip()


@pytest.mark.parametrize("readme", ["README.md", "consumers/README.md"])
def test_the_table_of_reactions_is_made_from_the_code(readme: str) -> None:
    assert printed("markdown").strip() in (ROOT / readme).read_text("utf-8")


def test_every_topic_has_its_writers_and_its_reader_in_the_diagram() -> None:
    diagram = printed("mermaid")
    for topic in TOPICS:
        if topic != "PaymentReviewRequired":  # whatever waits too long asks an operator
            assert f"-- {topic} -->" in diagram
    for reaction in REACTIONS:
        assert reaction.name in diagram


def test_json_has_every_row_with_what_it_does() -> None:
    document = json.loads(printed("json"))
    assert [r["name"] for r in document["reactions"]] == [r.name for r in REACTIONS]
    for described, reaction in zip(document["reactions"], REACTIONS, strict=True):
        assert len(described["plans"]) == len(reaction.plans)
        assert len(described["settles"]) == len(reaction.settles)
        rows = described["plans"] + described["settles"]
        assert all(row["does"].endswith(".") and row["when"].endswith(".") for row in rows)
    (capture,) = [r for r in document["reactions"] if r["name"] == "capture_payment"]
    row = {"statuses": ["items_reserved"], "condition": "live_hold", "step": "confirm"}
    assert any(row == {name: plan[name] for name in row} for plan in capture["plans"])
    assert ["no order", "confirmed"] in document["edges"]
    cancelling = {(*row["operations"], row["step"]) for row in document["cancelling"]}
    assert {("void", "carry_out"), ("confirm", "carry_out_sold")} <= cancelling
    assert all(row["does"].endswith(".") and row["when"].endswith(".") for row in document["cancelling"])
    told = {(row["fact"], row["step"]) for row in document["told"]}
    assert {("Dispute", "tell_dispute"), ("ForeignRefund", "book_foreign_refund")} <= told
    assert all(row["when"] and row["does"] for row in document["told"])


def test_text_names_every_reaction_its_file_and_every_status() -> None:
    text = printed("text")
    for reaction in REACTIONS:
        name = choreography.reaction_file(reaction)
        assert f"{reaction.trigger.TYPE} -> {reaction.name}  (consumers/{name})" in text
        assert (ROOT / "consumers" / name).is_file()
    assert all(status in text for status in Status)
    assert "while a cancel is noted, before the rows of any reaction" in text
