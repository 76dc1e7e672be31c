"""The version of this code. `pyproject.toml` and CHANGELOG.md name it, too; a test compares them."""

from typing import Final

RELEASE: Final = "0.2.0"
