"""The pipeline in the test's process, as tests/consumers has it, for the oracle to judge."""

from tests.consumers.conftest import database_template, make_pipeline

__all__ = ["database_template", "make_pipeline"]
