"""What a run found, for people, as JSON, and as files beside the logs."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.chaos.oracle import Verdict, Violation

if TYPE_CHECKING:
    from tests.chaos.run import Result

SHOWN_MAX: Final = 6
"""Violations of one check that are printed; all are in verdict.json."""


def document(seed: int, result: "Result") -> dict[str, Any]:
    """Return everything, fit for JSON."""
    verdict = result.verdict
    assert verdict is not None
    return {
        "holds": verdict.holds,
        "seed": seed,
        "seconds": round(result.seconds, 1),
        "faults_dealt": len(result.dealt),
        "counts": verdict.counts,
        "by_check": verdict.by_check(),
        "faults": [
            {"kind": d.kind, "dealt": d.dealt, "orders": d.orders, "median_s": d.median_s, "worst_s": d.worst_s}
            for d in verdict.delays
        ],
        "alarms": result.alarms,
        "violations": [violation.line() for violation in verdict.violations],
        "dealt": [dealt.line() for dealt in result.dealt],
        "folder": None if verdict.holds else str(result.folder),
    }


def write_files(folder: Path, seed: int, result: "Result") -> None:
    """Write the verdict and the faults beside the logs."""
    if result.verdict is not None:
        (folder / "verdict.json").write_text(json.dumps(document(seed, result), indent=1) + "\n", "utf-8")


def text(seed: int, result: "Result") -> Iterator[str]:
    """Say it."""
    verdict = result.verdict
    assert verdict is not None
    yield ""
    yield f"{'fault':22} {'dealt':>5} {'orders':>7} {'median s':>9} {'worst s':>8}"
    for delay in verdict.delays:
        yield f"{delay.kind:22} {delay.dealt:5} {delay.orders:7} {delay.median_s:9.2f} {delay.worst_s:8.2f}"
    yield ""
    yield ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in verdict.counts.items())
    if result.alarms:
        yield "alarms: " + ", ".join(f"{count} {reason}" for reason, count in result.alarms.items())
    yield from _violations(verdict)
    yield ""
    said = f"seed {seed}, {len(result.dealt)} faults, {result.seconds:.0f} s"
    if verdict.holds:
        yield f"all is right: {said}"
    else:
        yield f"NOT RIGHT: {len(verdict.violations)} violations; {said}"
        yield f"logs, published.jsonl and verdict.json: {result.folder}"


def _violations(verdict: Verdict) -> Iterator[str]:
    by_check: dict[str, list[Violation]] = defaultdict(list)
    for violation in verdict.violations:
        by_check[violation.check].append(violation)
    for check, found in sorted(by_check.items()):
        yield ""
        yield f"{check}: {len(found)}"
        for violation in found[:SHOWN_MAX]:
            yield f"  {violation.subject}: {violation.what}" + (f"  ({violation.where})" if violation.where else "")
        if len(found) > SHOWN_MAX:
            yield f"  and {len(found) - SHOWN_MAX} more"
