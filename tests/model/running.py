"""Runs one model: says what is defined for it, lets Spin make a verifier, compiles it, runs it, reads what it says."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

SPECS: Final = Path(__file__).parent / "specs"
TOOLS: Final = ("spin", "gcc")
MEMORY_MB: Final = 6_000
DEPTH_MAX: Final = 100_000
BITS: Final = 31
"""Of the bitstate table: 256 MB."""
BUILD_S: Final = 120.0
SHOWN_STEPS_MAX: Final = 80
_SCRATCH: Final = frozenset({"a", "i", "j", "k", "m", "n", "sum", "back", "found"})


class Missing(Exception):  # noqa: N818 - it is no error of ours: the report says what to install
    """A tool is not here; the text says which, and how to get it."""


class Found(NamedTuple):
    """What a run found.

    violated: the assertion, None if all hold. complete: every state within the bounds was seen. ends: which of those
    that were asked for were reached.
    """

    violated: str | None
    complete: bool
    states: int
    depth: int
    seconds: float
    ends: frozenset[int] = frozenset()
    trace: tuple[str, ...] = ()


def check_tools() -> None:
    """Raise Missing if Spin or the C compiler is not here."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        raise Missing(f"{' and '.join(lacking)} not found: apt-get install {' '.join(TOOLS)}, or your system's like")


def run(
    model: str,
    defines: Sequence[str],
    *,
    exhaustive: bool,
    limit_s: float,
    ends: Sequence[str] = (),
    quick: bool = False,
) -> Found:
    """Run a model. defines: as behind #define. ends: conditions; the result says which of them held at an end.

    quick: a violation is expected soon, so the verifier is not optimized. limit_s: seconds until the search is stopped,
    and then it is not complete. Raises RuntimeError if the model cannot be built.
    """
    with TemporaryDirectory(prefix="payments-model-") as name:
        folder = Path(name)
        lines = [f"#define {define}" for define in defines]
        if ends:
            seen = " ".join(f"if :: ({end}) -> c_code {{ end_seen({n}); }} :: else fi;" for n, end in enumerate(ends))
            lines += [_END_SEEN, f"#define ENDS {seen}"]
        (folder / "run.pml").write_text("\n".join([*lines, f'#include "{SPECS / model}.pml"', ""]), encoding="utf-8")
        _build(folder, exhaustive=exhaustive, quick=quick)
        argv = ["./pan", f"-m{DEPTH_MAX}", *([] if exhaustive else [f"-w{BITS}"])]
        try:
            said = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=limit_s, check=False).stdout
        except subprocess.TimeoutExpired:
            return Found(None, complete=False, states=0, depth=0, seconds=limit_s)
        found = _read(said)
        return found if found.violated is None else found._replace(trace=tuple(_trace(folder)))


_END_SEEN: Final = """c_code {
  static void end_seen(int n) { static char seen[64]; if (!seen[n]) { seen[n] = 1; printf("END %d\\n", n); } }
}"""
"""Says once that an end was reached, past the search: what C keeps is no part of a state."""


def _build(folder: Path, *, exhaustive: bool, quick: bool) -> None:
    # What a model keeps, each state compressed; or one bit for each.
    kept = ["-DCOLLAPSE", f"-DMEMLIM={MEMORY_MB}"] if exhaustive else ["-DBITSTATE"]
    for argv in (
        ["spin", "-a", "run.pml"],
        ["gcc", "-O0" if quick else "-O2", "-w", "-DSAFETY", *kept, "-o", "pan", "pan.c"],
    ):
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=BUILD_S, check=False)
        if done.returncode != 0 or "Error" in done.stdout:
            raise RuntimeError(f"{argv[0]} cannot build the model: {(done.stdout + done.stderr).strip()[-2000:]}")


def _read(said: str) -> Found:
    errors = re.search(r"errors: (\d+)", said)
    if errors is None:
        raise RuntimeError(f"the verifier ended without a result: {said.strip()[-500:]}")
    violated = re.search(r"pan:\d+: (.*?) \(at depth", said)
    stored = re.search(r"(\d+) states, stored", said)
    depth = re.search(r"depth reached (\d+)", said)
    seconds = re.search(r"elapsed time ([\d.]+)", said)
    short = any(text in said for text in ("Search not completed", "max search depth too small", "out of memory"))
    return Found(
        violated=violated[1] if violated else ("an error" if errors[1] != "0" else None),
        complete=not short,
        states=int(stored[1]) if stored else 0,
        depth=int(depth[1]) if depth else 0,
        seconds=float(seconds[1]) if seconds else 0.0,
        ends=frozenset(int(n) for n in re.findall(r"^END (\d+)$", said, re.MULTILINE)),
    )


def _trace(folder: Path) -> Iterator[str]:
    """Yield the steps of the history that breaks the rule: what made each possible, and what it changed."""
    argv = ["spin", "-t", "-p", "-g", "run.pml"]
    said = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=BUILD_S, check=False).stdout
    known: dict[str, str] = {}
    number, guard, changed = "", "", dict[str, str]()
    shown = 0
    for line in said.splitlines():
        if step := re.match(r"\s*(\d+):\s+proc\s+\d+ \S+ \S+ \(state \d+\)\s+\[(.*)\]", line):
            if step[1] != number:
                if number and shown < SHOWN_STEPS_MAX:
                    yield _step(number, guard, changed)
                    shown += 1
                number, guard, changed = step[1], step[2], {}
        elif value := re.match(r"\s+(\w+(?:\[\d+\])?) = (\d+)$", line):
            # Spin shows a whole array when one of its elements changes; at first everything is 0.
            if known.get(value[1], "0") != value[2] and value[1] not in _SCRATCH:
                changed[value[1]] = value[2]
            known[value[1]] = value[2]
    yield _step(number, guard, changed)


def _step(number: str, guard: str, changed: dict[str, str]) -> str:
    return f"{number:>4}  {guard[:90]}  =>  {' '.join(f'{name}={value}' for name, value in changed.items()) or '-'}"
