"""A small program that waits for its parent to end. Then it kills the servers of a temporary folder and deletes it.

It is run as a file, so that it loads psutil only. It waits on its standard input, a pipe that only the parent holds:
even a SIGKILL of the parent closes it. process.py reads pid files with `recorded`, too.
"""

import contextlib
import json
import shutil
import sys
from pathlib import Path

import psutil

# psutil computes start times from the boot time, which moves when the clock is set. No pid is reused so soon.
BIRTH_TOLERANCE_S = 2.0
GONE_S = 10.0


def has_ended(process: psutil.Process) -> bool:
    """Return whether nothing of it runs: it is gone, or a zombie without threads.

    The first thread of a killed program can be a zombie while others still end. Those hold its ports and files.
    """
    try:
        if process.is_running() and process.status() == psutil.STATUS_ZOMBIE:
            return int(process.num_threads()) <= 1
        return not process.is_running()
    except psutil.NoSuchProcess:  # ZombieProcess too: outside Linux a zombie has no threads to count
        return True


def recorded(pid_file: Path) -> psutil.Process | None:
    """Return the running process that this file was written for; None if another process has its pid.

    A file that was copied with its directory names the server of the original directory: it does not count.
    """
    try:
        found = json.loads(pid_file.read_text(encoding="utf-8"))
        process = psutil.Process(int(found["pid"]))
        same = abs(process.create_time() - float(found["created_s"])) <= BIRTH_TOLERANCE_S
        ours = found["pid_file"] == str(pid_file.resolve())
        return process if same and ours and not has_ended(process) else None
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
    """Wait for the end of standard input, then run end_all on the folder of the first argument."""
    sys.stdin.buffer.read()
    end_all(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
