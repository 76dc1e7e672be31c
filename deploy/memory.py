"""How a process that runs for long holds its memory: what is collected, and what is given back to the system."""

import ctypes
import gc
from typing import Final

ARENA_MAX: Final = (-8, 1)
"""M_ARENA_MAX. Each thread would get a heap of its own, and few of ours allocate: those that look up a name, or ask a
server something once."""
MMAP_THRESHOLD: Final = (-3, 128 << 10)
"""M_MMAP_THRESHOLD, in bytes. What is larger (a broker's answer, the rows of a COPY) goes back to the system when it
is freed. By itself glibc raises this bound to the largest block that was ever freed, up to 32 MB. From then on such
blocks lie between small ones that stay, and the heap keeps what the largest batch has needed."""
TRIM_THRESHOLD: Final = (-1, 128 << 10)
"""M_TRIM_THRESHOLD, in bytes: so much may be free at the heap's end. glibc raises it together with the other bound."""


def tune_memory() -> None:
    """Have freed memory go back to the system. Call it before threads begin.

    Only glibc knows these settings; elsewhere nothing happens. Python's own small blocks are not concerned.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in (ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD):
            mallopt(parameter, value)


def tune_gc() -> None:
    """Run the garbage collector rarely, and never on what was loaded at start.

    A batch makes a hundred thousand objects, and reference counts free them all. Searching them for cycles costs up to
    a third of the process's time, and each search stops it for 50 ms (measured). At full load fewer objects are alive
    than this threshold, so the collector runs only if cycles pile up.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000_000, 5, 5)
