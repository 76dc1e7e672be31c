"""Our packages are ours, and a consumer file is a page to read. Which way imports point is import-linter's to say."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from consumers.reactions import BY_NAME, BY_TRIGGER, REACTIONS
from domain.reaction import Reaction

CHECKOUT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("schemas", "domain", "outbox", "consumers", "producers", "deploy")
CONSUMERS: Final = sorted(p for p in (CHECKOUT / "consumers").glob("*.py") if p.stem not in {"__init__", "reactions"})
LINES_MAX: Final = 120
"""What fits a tall screen."""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_of_ours_resolves_inside_the_checkout(package: str) -> None:
    # From another directory, as an installed command would: the current one must not decide.
    code = f"import {package}; print({package}.__file__)"
    found = subprocess.run([sys.executable, "-P", "-c", code], cwd="/", capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == CHECKOUT / package / "__init__.py"


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return modules


def test_there_is_one_consumer_file_for_each_trigger_named_after_it() -> None:
    def snake(name: str) -> str:
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")

    # What the gateway says unasked has a file, too, and no topic.
    assert [p.stem for p in CONSUMERS] == sorted(["gateway_told", *(snake(trigger) for trigger in BY_TRIGGER)])
    for reaction in REACTIONS:
        module = importlib.import_module(f"consumers.{snake(reaction.trigger.TYPE)}")
        assert vars(module)[reaction.name] is reaction


@pytest.mark.parametrize("path", CONSUMERS, ids=lambda path: path.stem)
def test_a_consumer_file_fits_one_screen_and_imports_the_pure_packages_only(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LINES_MAX
    # A retry settles as the first attempt does: by the same function.
    allowed = {"consumers.order_confirmed"} if path.stem == "payment_retry_requested" else set()
    assert {m for m in imported(path) if m.split(".")[0] not in {"domain", "schemas"}} == allowed


@pytest.mark.parametrize("path", CONSUMERS, ids=lambda path: path.stem)
def test_a_consumer_file_knows_no_error_handling_and_nothing_asynchronous(path: Path) -> None:
    forbidden = (ast.Try, ast.AsyncFunctionDef, ast.Await, ast.With, ast.While, ast.Raise)
    assert [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, forbidden)] == []


def test_reactions_are_found_by_trigger_and_by_name_and_have_groups_of_their_own() -> None:
    assert len(BY_TRIGGER) == len(BY_NAME) == len({r.group for r in REACTIONS}) == len(REACTIONS)


@pytest.mark.parametrize("reaction", REACTIONS, ids=lambda reaction: reaction.name)
def test_a_group_is_named_after_its_reaction(reaction: Reaction) -> None:
    assert reaction.group == f"payments.{reaction.name}"
