from alembic.script import ScriptDirectory

from outbox.schema.migrations.run import config
from outbox.schema.steps import revisions


def test_files_of_migrations_name_the_revisions_that_alembic_runs_in_their_order() -> None:
    scripts = [script.revision for script in ScriptDirectory.from_config(config()).walk_revisions()]
    assert list(revisions()) == scripts[::-1]
