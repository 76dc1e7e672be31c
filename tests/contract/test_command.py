"""`payments contract`: what it prints, what it writes, and how it ends. It needs no server."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.cli import main
from deploy.contract_pages.readers import READERS
from deploy.contract_pages.writing import write_files
from deploy.failures import Failure
from schemas.topics import TOPICS


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAYMENTS_TOPIC_PREFIX", "shop.")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command here; return its exit code and what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(["contract", *arguments])
    printed = capsys.readouterr()
    code: Any = ended.value.code
    return code or 0, printed.out, printed.err


def test_it_writes_pages_and_all_that_they_link_to_without_any_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "--out", "public")

    assert (code, err) == (0, "")
    assert out == f"{9 + 2 + 4 * len(TOPICS)} files written: public/index.html\n"
    written = {
        str(file.relative_to(tmp_path / "public")) for file in (tmp_path / "public").rglob("*") if file.is_file()
    }
    assert written >= {"index.html", "asyncapi.json", "contract.json", "schemas/PaidAndConfirmed.avsc"}
    assert {f"{reader.slug}.html" for reader in READERS} <= written
    assert "shop.PaidAndConfirmed" in (tmp_path / "public" / "delivery.html").read_text()


def test_without_a_folder_it_prints_asyncapi_or_all_facts(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert (code, err, json.loads(out)["asyncapi"]) == (0, "", "3.0.0")
    assert run(capsys, "--format", "asyncapi", "--json")[1] == out

    code, facts, err = run(capsys, "--json")
    assert (code, err) == (0, "")
    assert json.loads(facts)["events"]["PaidAndConfirmed"]["fingerprint"] == "e39e46b4f550a660"
    assert run(capsys, "--format", "json")[1] == facts


def test_one_format_is_written_alone_and_json_names_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "--out", "made", "--format", "asyncapi", "--json")
    assert (code, json.loads(out)) == (0, {"out": "made", "files": ["asyncapi.json"]})
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["asyncapi.json"]


def test_pages_without_a_folder_and_a_folder_that_is_none_are_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "--format", "html")
    assert (code, out) == (2, "")
    assert "--out DIR" in err

    (tmp_path / "file").write_text("")
    code, out, err = run(capsys, "--out", "file/below")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert "cannot write to file/below" in err


def test_a_file_is_replaced_whole_and_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/b.html": b"old"})
    write_files(tmp_path, {"a/b.html": b"new"})
    assert (tmp_path / "a" / "b.html").read_bytes() == b"new"

    (tmp_path / "c").mkdir()
    with pytest.raises(Failure):
        write_files(tmp_path, {"c": b"a folder stands there"})
    assert [file.name for file in tmp_path.rglob(".payments-*")] == [], "nothing half is left"


def test_the_help_names_every_reader(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    said = " ".join(out.split())
    assert code == 0
    assert all(reader.name.lower() in said for reader in READERS)
