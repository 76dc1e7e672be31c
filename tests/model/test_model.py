"""The protocol's model holds, and sees every mistake. The searches run by `make model`, for they need Spin."""

import re
from collections.abc import Iterator

import pytest

from tests.model import __main__, running, specs

# A little more than a search of the smallest bounds took on a busy machine with two slow cores.
LIMIT_S = 900.0


def test_every_definition_that_a_model_asks_for_is_run_or_is_a_mistake() -> None:
    asked = {(spec.stem, define) for spec in running.SPECS.glob("*.pml") for define in _asked_for(spec.read_text())}
    models = {run.name: run.model for run in specs.RUNS}
    bounds = {(run.model, define.split()[0]) for run in specs.RUNS for define in run.defines}
    mistakes = {(models[mistake.run], mistake.define) for mistake in specs.MISTAKES}

    assert asked - bounds - mistakes == {(model, "ENDS") for model in models.values()} | {
        ("refund", "FAILS"),  # a bound that every run leaves as it is
        ("refund", "NO_CANCEL"),  # for who looks at requests to refund alone
    }
    assert mistakes <= asked


def test_every_model_has_a_run_that_sees_all_states() -> None:
    assert {run.model for run in specs.RUNS if run.exhaustive and not run.long} == {
        spec.stem for spec in running.SPECS.glob("*.pml")
    }


def test_without_spin_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", ["python -m tests.model"])

    assert __main__.main() == 3
    assert "apt-get install spin gcc" in capsys.readouterr().err


@pytest.mark.model
@pytest.mark.timeout(LIMIT_S + 180)
@pytest.mark.parametrize("run", [run for run in specs.RUNS if not run.long], ids=lambda run: run.name)
def test_no_history_breaks_a_rule_and_every_end_is_seen(run: specs.Run) -> None:
    ends = [end for end in specs.ENDS if end.run == run.name]

    found = running.run(
        run.model, run.defines, exhaustive=run.exhaustive, limit_s=LIMIT_S, ends=[end.end for end in ends]
    )

    assert found.violated is None, "\n".join(found.trace)
    assert found.complete
    assert [end.says for number, end in enumerate(ends) if number not in found.ends] == []


@pytest.mark.model
@pytest.mark.timeout(LIMIT_S + 180)
@pytest.mark.parametrize("mistake", specs.MISTAKES, ids=lambda mistake: f"{mistake.run}-{mistake.define}")
def test_the_model_finds_the_mistake(mistake: specs.Mistake) -> None:
    run = next(run for run in specs.RUNS if run.name == mistake.run)

    found = running.run(run.model, (*run.defines, mistake.define), exhaustive=True, limit_s=LIMIT_S, quick=True)

    assert found.violated is not None, mistake.says
    assert found.trace


def _asked_for(text: str) -> Iterator[str]:
    for match in re.finditer(r"^#if(?:n?def| ) *(\w+)", text, re.MULTILINE):
        yield match[1]
