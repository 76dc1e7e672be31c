"""Warnings of Python about our code, in the logs of processes that ran with them switched on."""

import re
from pathlib import Path
from typing import Final

ON: Final = {"PYTHONWARNINGS": "default"}
"""Each warning is written once. As errors they would also come from libraries, which we cannot mend."""
ROOT: Final = Path(__file__).parents[2]
OURS: Final = ("schemas", "domain", "outbox", "consumers", "producers", "deploy")
_LINE: Final = re.compile(r"^(\S+\.py):\d+: (\w*Warning): .*$", re.MULTILINE)


def warned(folder: Path) -> list[str]:
    """Return the lines in the logs of this folder that warn about a file of ours."""
    ours = tuple(f"{ROOT / name}/" for name in OURS)
    lines = [
        found.group()
        for log in sorted(folder.glob("process-*.err"))
        for found in _LINE.finditer(log.read_text("utf-8"))
        if found[1].startswith(ours)
    ]
    return list(dict.fromkeys(lines))
