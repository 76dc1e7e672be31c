"""`python used.py FILE COMMAND...`: run a command, and write to FILE its exit code, CPU seconds and KiB of memory.

A process of its own, and a small one: Linux counts the memory of the process that starts a command as the command's.
"""

import json
import resource
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    code = subprocess.call(sys.argv[2:])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    Path(sys.argv[1]).write_text(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss]), encoding="utf-8")
