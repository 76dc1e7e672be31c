"""What the matrix runs, refuses and names as missing; and that all places agree on what is supported."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.embedded.jars import kafka_version
from tests.matrix.asking import BadChoice, ask, running
from tests.matrix.results import Result, Unit, document, exit_code, table
from tests.matrix.versions import KAFKAS, LISTS, POSTGRES, PYTHONS, Cell, java_for, pythons
from tests.matrix.warned import ROOT, warned

HERE: Final = {version: Path(f"/python{version}") for version in ("3.11", "3.12", "3.13")}
CELL: Final = Cell("4.4", "18", "3.11")
RUN_S: Final = 100


def found() -> dict[str, Any]:
    return {
        "kafka": "4.4.0",
        "java": 25,
        "java_named_by_kafka": True,
        "postgresql": "18.6",
        "python": "3.11.7",
        "demo": {"orders": 40, "seconds": 30.0},
        "kills": {"orders": 400, "unfinished_at_kill": [7, 9], "seconds": 31.0},
    }


def test_makefile_classifiers_readme_and_matrix_name_the_same_pythons() -> None:
    (supported,) = re.findall(r"^SUPPORTED := (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = [line.rpartition(" ")[2] for line in project["classifiers"] if "Python :: 3." in line]
    assert (tuple(supported.split()), tuple(named)) == (PYTHONS, PYTHONS)
    assert project["requires-python"] == f">={PYTHONS[0]}"
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"| Python | {', '.join(PYTHONS)} |" in readme
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in readme


def test_readme_names_the_kafkas_and_databases_of_the_matrix() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"| Kafka | {next(iter(KAFKAS))} to {list(KAFKAS)[-1]} |" in readme
    assert f"| PostgreSQL | {POSTGRES[0]} to {POSTGRES[-1]} |" in readme
    for release in (*(line.release for line in KAFKAS.values()), kafka_version()):
        assert release in readme


def test_each_kafka_has_a_list_of_hashed_jars_and_no_other_list_is_kept() -> None:
    assert {file.name for file in LISTS.iterdir()} == {f"kafka-{line.release}.jars.sha256" for line in KAFKAS.values()}
    for name, line in KAFKAS.items():
        jars = line.jars()
        assert kafka_version(jars) == line.release
        assert line.release.startswith(f"{name}.")
        assert len({jar.file_name for jar in jars}) == len(jars) > 40
        assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)


def test_the_oldest_and_the_newest_python_are_taken_and_a_missing_one_is_named() -> None:
    asked = ask([], HERE, POSTGRES)
    assert {cell.python for cell in asked.cells} == {"3.11", "3.13"}
    assert len(set(asked.cells)) == len(asked.cells) == 2 * len(KAFKAS) * len(POSTGRES)
    assert [line.split(":")[0] for line in asked.missing] == ["Python 3.14 is not here"]


def test_only_what_is_asked_for_is_run() -> None:
    asked = ask(["kafka=3.9,kafka=4.0", "python=3.12", "postgres=18"], HERE, POSTGRES)
    assert asked.cells == [Cell("3.9", "18", "3.12"), Cell("4.0", "18", "3.12")]
    assert asked.missing == []


def test_a_missing_postgresql_is_named_with_its_package() -> None:
    asked = ask(["python=3.11"], HERE, ["18"])
    assert {cell.postgres for cell in asked.cells} == {"18"}
    assert "apt-get install postgresql-15" in asked.missing[0]


@pytest.mark.parametrize("only", ["kafka=9", "kafka", "kafka=", "3.9", "zookeeper=3"])
def test_a_choice_that_there_is_not_says_what_there_is(only: str) -> None:
    with pytest.raises(BadChoice, match=r"kafka=3\.9 or 4\.0 or 4\.4"):
        ask([only], HERE, POSTGRES)


def test_a_failed_cell_or_test_is_1_and_nothing_run_is_2() -> None:
    good, bad = Result(CELL, found()), Result(CELL, None, "why")
    assert exit_code([good], [Unit("3.13", "9 passed")]) == 0
    assert exit_code([good, bad], []) == 1
    assert exit_code([good], [Unit("3.13", "1 failed", "why")]) == 1
    assert exit_code([], []) == 2


def test_table_and_document_show_each_cell_with_its_versions_or_that_it_failed() -> None:
    results = [Result(CELL, found()), Result(Cell("3.9", "15", "3.11"), None, "why")]
    lines = table(results, [])
    assert " ".join(lines[1].split()) == "4.4.0 25 18.6 3.11.7 40 + 400 7 and 9 passed in 61 s"
    assert lines[2].split() == ["3.9", "15", "3.11", "FAILED"]
    told = document(results, [], ["Python 3.14 is not here"])
    assert [(cell["passed"], cell["why"]) for cell in told["cells"]] == [(True, ""), (False, "why")]
    assert (told["passed"], told["missing"]) == (False, ["Python 3.14 is not here"])


def test_a_java_that_kafka_does_not_name_is_marked() -> None:
    lines = table([Result(CELL, {**found(), "java": 99, "java_named_by_kafka": False})], [])
    assert "99*" in lines[1]
    assert lines[-1].startswith("* a Java")


def test_a_warning_about_our_code_is_found_in_a_log_and_one_about_a_library_is_not(tmp_path: Path) -> None:
    ours = f"{ROOT}/deploy/running.py:12: DeprecationWarning: old\n"
    (tmp_path / "process-0.err").write_text(f"/lib/aiokafka/x.py:3: DeprecationWarning: old\nrunning\n{ours}{ours}")
    assert warned(tmp_path) == [ours.strip()]


def test_the_python_that_runs_is_found_by_asking_each_candidate(tmp_path: Path) -> None:
    folder = tmp_path / ".pyenv" / "versions" / f"{running()}.99" / "bin"
    folder.mkdir(parents=True)
    (folder / f"python{running()}").symlink_to("/bin/false")
    assert running() not in pythons(tmp_path) or pythons(tmp_path)[running()].parent != folder


def test_each_kafka_has_a_java_here() -> None:
    assert all(version > 0 for _, version in map(java_for, KAFKAS.values()))


def test_a_python_that_is_not_here_ends_the_run_with_2_and_is_named(tmp_path: Path) -> None:
    away = next(version for version in reversed(PYTHONS) if version != running())
    done = subprocess.run(
        [sys.executable, "-m", "tests.matrix", "--only", f"python={away}"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert f"Python {away} is not here" in done.stderr
    assert done.stderr.strip().endswith("nothing can run here")
