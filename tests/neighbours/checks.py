"""Checks of `make neighbours` besides the kits. To add one, append a row to CHECKS."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.contract.official_parser import check_contract
from tests.neighbours.fingerprints.check import CHECKS as FINGERPRINTS
from tests.neighbours.missing import Missing

__all__ = ["CHECKS", "Check", "Missing", "Say"]

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One check. name: a word for the report; with `--only` it is run alone.

    run(folder, say): folder is the check's own and is kept, so that a download is made once; say shows progress. It
    returns a line about what was right, with versions. It raises AssertionError when something is wrong, and Missing
    when a tool is missing.
    """

    name: str
    run: Callable[[Path, Say], str]


def _contract(folder: Path, say: Say) -> str:
    try:
        return check_contract(folder, say)
    except FileNotFoundError as error:
        raise Missing(f"{error.filename} is not here: install Node.js with npm") from error


CHECKS: Final[tuple[Check, ...]] = (
    Check("contract", _contract),
    *(Check(name, run) for name, run in FINGERPRINTS.items()),
)
