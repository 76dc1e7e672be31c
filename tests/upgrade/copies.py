"""A next release that nobody has made: a copy of this tree with a migration, a new field of an event, and a version."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

from outbox.schema.steps import revisions

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("schemas", "domain", "outbox", "consumers", "producers", "deploy")
VERSION: Final = "99.0.0"
EVENT: Final = "PaymentAuthorized"
"""Our own processes read it: an older one reads what a newer one wrote."""
FIELD: Final = "next_note"
NOTE: Final = "written by the next release"
COLUMN: Final = "next_note"
EXPANDED: Final = f"{int(revisions()[-1]) + 1:04}"
CONTRACTED: Final = f"{int(EXPANDED) + 1:04}"
_MIGRATION: Final = '''"""{what}."""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """{what}."""
    op.execute({statement!r})
'''
_EXPANSION: Final = f"ALTER TABLE orders ADD COLUMN {COLUMN} text NOT NULL DEFAULT ''"
_CONTRACTION: Final = "ALTER TABLE notification DROP COLUMN recorded_at"


def make_next(directory: Path) -> Path:
    """Copy the packages and make a release of them that expands the schema. Returns the folder to import from."""
    folder = directory / "next"
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "chart", "kits"))
    (folder / "schemas" / "version.py").write_text(f'RELEASE = "{VERSION}"\n', "utf-8")
    _migrate(folder, EXPANDED, revisions()[-1], f"{EXPANDED}_next.py", _EXPANSION)
    schema = folder / "schemas" / "avro" / f"{EVENT}.avsc"
    shape: dict[str, Any] = json.loads(schema.read_text("utf-8"))
    shape["fields"].append({"name": FIELD, "type": "string", "default": "", "doc": "What the next release adds."})
    schema.write_text(json.dumps(shape), "utf-8")
    events = folder / "schemas" / "events.py"
    text = events.read_text("utf-8")
    head, mark, tail = text.partition(f"class {EVENT}(OwnEvent):")
    last = "    livemode: Flag\n"
    assert mark, "the event that the next release changes is no longer there"
    assert last in tail, "its last field is no longer the last one"
    events.write_text(head + mark + tail.replace(last, f'{last}    {FIELD}: str = "{NOTE}"\n', 1), "utf-8")
    return folder


def add_contraction(folder: Path) -> None:
    """Have it take away a column, too, that this release still reads."""
    _migrate(folder, CONTRACTED, EXPANDED, f"{CONTRACTED}_contract_next.py", _CONTRACTION)


def _migrate(folder: Path, revision: str, before: str, name: str, statement: str) -> None:
    text = _MIGRATION.format(what="Of the next release", revision=revision, before=before, statement=statement)
    (folder / "outbox" / "schema" / "migrations" / "versions" / name).write_text(text, "utf-8")
