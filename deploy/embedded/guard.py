"""A small program beside servers on a temporary folder: when its parent is gone, however, it ends them and the folder.

Run as a file, so that it loads nothing but psutil. It waits on its standard input, a pipe that only the parent holds:
even SIGKILL closes that. Pid files are read here, and by process.py with the same care.
"""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import psutil

# psutil derives births from the boot time, which moves when the clock is set; nobody reuses a pid within this.
BIRTH_TOLERANCE_S = 2.0
GONE_S = 10.0


def recorded(pid_file: Path) -> psutil.Process | None:
    """Return the living process that this file was written for; None for a stranger with its pid.

    A file copied along with its directory speaks of the original's server, and is no claim to that.
    """
    try:
        found = json.loads(pid_file.read_text(encoding="utf-8"))
        process = psutil.Process(int(found["pid"]))
        same = abs(process.create_time() - float(found["created_s"])) <= BIRTH_TOLERANCE_S
        ours = found["pid_file"] == str(pid_file.resolve())
        return process if same and ours and process.status() != psutil.STATUS_ZOMBIE else None
    except (OSError, KeyError, TypeError, ValueError, psutil.Error):
        return None


def end_all(folder: Path) -> None:
    """SIGKILL the servers whose pid files lie in this folder, wait until they and their children end, and delete it."""
    killed: list[psutil.Process] = []
    for pid_file in folder.glob("*.pid"):
        process = recorded(pid_file)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                killed += [process, *process.children(recursive=True)]
                process.kill()
    psutil.wait_procs(killed, timeout=GONE_S)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Wait for the end of standard input, then clear the folder named by the first argument."""
    sys.stdin.buffer.read()
    end_all(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
