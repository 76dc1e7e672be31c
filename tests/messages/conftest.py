"""A whole pipeline in the test's process, as in tests/consumers."""

from tests.consumers.conftest import database_template, make_pipeline

__all__ = ["database_template", "make_pipeline"]
