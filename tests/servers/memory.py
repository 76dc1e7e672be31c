"""Where servers of tests keep their data: in memory, where nothing waits for a disk.

The servers are the same and call fsync as ever. A kill takes nothing from them: what a process has written outlives it
in memory as on a disk. What no test here does is to take away the machine's power.
"""

from pathlib import Path
from typing import Final

import psutil

MEMORY: Final = Path("/dev/shm")  # the tests make a folder of their own there
FREE_BYTES: Final = 4 << 30
"""What must be free for one more Kafka and PostgreSQL: they use a quarter of it, and so do others meanwhile."""


def in_memory(place: Path = MEMORY, free_bytes: int = FREE_BYTES) -> Path | None:
    """Return the folder whose files lie in memory, None if there is none, or not enough free; then a disk serves."""
    if not any(part.mountpoint == str(place) and part.fstype == "tmpfs" for part in psutil.disk_partitions(all=True)):
        return None
    free = min(psutil.disk_usage(str(place)).free, psutil.virtual_memory().available)
    return place if free >= free_bytes else None
