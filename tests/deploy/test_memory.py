"""What a process has freed goes back to the system, however it lay between what stays."""

import platform
import subprocess
import sys
from typing import Final

SLACK_MB: Final = 16
"""Of the 120 MB that are freed so much may stay."""
HELD: Final = """
import os, sys
from deploy.memory import tune_memory
if sys.argv[1] == "tuned":
    tune_memory()

def held_mb():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

before = held_mb()
stays = []
for _ in range(2):
    large = []
    for _ in range(120):
        large.append(bytearray(1 << 20))
        stays.append(bytearray(2048))
    del large
print(held_mb() - before)
"""
"""Twice, because glibc maps large blocks at first and raises its bound when it frees one."""


def held_mb(how: str) -> float:
    """Return how many MB a process of its own still holds after it has freed large blocks among small ones."""
    done = subprocess.run([sys.executable, "-P", "-c", HELD, how], capture_output=True, text=True, check=True)
    return float(done.stdout)


def test_large_blocks_that_are_freed_go_back_to_the_system() -> None:
    assert held_mb("tuned") < SLACK_MB


def test_by_itself_glibc_would_keep_them() -> None:
    """Why we set it. Where this fails, the C library is another one, or deploy.memory is not needed any more."""
    kept = held_mb("as it is") > SLACK_MB
    assert kept is (platform.libc_ver()[0] == "glibc")
