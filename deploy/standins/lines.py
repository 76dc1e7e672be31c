"""The file behind a stand-in's memory: JSON lines, appended, and read again at the next start.

Lines survive a SIGKILL of the process, but not a crash of the machine. A last line that is cut off was never answered,
and is dropped.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

if sys.platform != "win32":
    import fcntl


class InUse(RuntimeError):  # noqa: N818 - its name says what is wrong
    """Another stand-in writes the file."""


class LinesFile:
    """Opens and locks the file, and makes it if it is not there.

    who: the stand-in, as an error names it. Raises InUse if another process has the file. The lock ends with the
    process.
    """

    def __init__(self, path: Path, who: str) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as taken:
            self.close()
            raise InUse(f"Another {who} uses {path}: stop it, or give another file with --data.") from taken
        except BaseException:
            self.close()
            raise

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield what every whole line says, then cut off what follows them."""
        whole = 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                yield orjson.loads(line)
                whole += len(line)
        os.ftruncate(self._file, whole)

    def write(self, lines: bytes) -> None:
        """Append whole lines."""
        while lines:
            lines = lines[os.write(self._file, lines) :]

    def close(self) -> None:
        """Close it, and so unlock it."""
        os.close(self._file)
