"""Loads a library without what it would load only because it is installed.

What a process has loaded it holds until its end. rich, which comes with the extra `embedded`, costs a process five
megabytes and a quarter of a second of CPU; greenlet, which SQLAlchemy brings, two megabytes, and C++'s library with it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final

FOR_COLOURS: Final = "rich"
"""structlog shows tracebacks in colour with it. We write them plainly, whether it is installed or not."""
FOR_GREENLETS: Final = "greenlet"
"""structlog keeps values apart by greenlet with it, in a module that we do not use: ours are tasks."""


def load_log() -> None:
    """Load structlog alone. Whoever needs rich or greenlet can load it afterwards."""
    with _missing(FOR_COLOURS), _missing(FOR_GREENLETS):
        import_module("structlog")


@contextmanager
def _missing(name: str) -> Iterator[None]:
    """Have imports of this module fail while inside, unless it is loaded."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # that is how an import is told to fail
    try:
        yield
    finally:
        del sys.modules[name]
