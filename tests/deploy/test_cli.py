"""The command line: exit codes, one line for what is wrong, one document with --json, a quick --help."""

import importlib
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import psycopg
import pytest
import sqlalchemy.exc
from aiokafka.errors import KafkaConnectionError
from click.testing import CliRunner

import domain
import schemas
from deploy.cli import COMMANDS, main
from deploy.cli.group import Command, LazyGroup
from deploy.failures import Failure, explain
from deploy.settings import Settings, SettingsError
from domain.errors import DownForEverybody
from domain.ports.publisher import Published
from schemas.rejection import Reason
from tests.deploy.commands import Ran, payments

NOBODY = "127.0.0.1:1"


def one_line(ran: Ran) -> str:
    assert ran.err.startswith("payments: ")
    assert ran.err.count("\n") == 1
    assert ran.out == ""
    return ran.err


def test_help_loads_no_command_and_no_heavy_library() -> None:
    heavy = ("aiokafka", "sqlalchemy", "pydantic", "fastavro", "structlog", "deploy.settings", "schemas")
    code = f"""
import sys
from deploy.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
print([name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_process_loads_nothing_that_only_migrations_and_operators_need() -> None:
    code = """
import sys
from deploy.cli import consume, relay, sweep, up, webhooks
print([name for name in ("alembic", "sqlalchemy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_command(tmp_path: Path) -> None:
    ran = payments(tmp_path, "--help")
    assert ran.code == 0
    told = " ".join(ran.out.split())
    for command in COMMANDS:
        assert f"{command.name} {command.short_help}" in told


def every_command() -> list[list[str]]:
    paths = []
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        paths.append([name])
        if isinstance(command, click.Group):
            paths.extend([name, inner] for inner in command.list_commands(context))
    return paths


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_has_help(path: list[str]) -> None:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Usage: " in result.stdout
    assert "\\b" not in result.stdout, "click takes the control character for a paragraph as it stands, not its name"


@pytest.mark.parametrize("arguments", [["bogus"], ["config", "--bogus"], ["publish"], ["publish", "/nowhere"]])
def test_wrong_usage_is_one_line_and_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    ran = payments(tmp_path, *arguments)
    assert ran.code == 2
    assert "--help`" in one_line(ran)


@pytest.mark.parametrize("arguments", [["config"], ["topics", "create"], ["publish", "-"]])
def test_wrong_settings_are_one_line_and_end_with_2(tmp_path: Path, arguments: list[str]) -> None:
    ran = payments(tmp_path, *arguments, PAYMENTS_LEASE="1")
    assert ran.code == 2
    assert "did you mean PAYMENTS_LEASE_S?" in one_line(ran)


@pytest.mark.parametrize("arguments", [["topics", "create"], ["publish", "-"]])
def test_without_kafka_set_a_command_says_what_to_set(tmp_path: Path, arguments: list[str]) -> None:
    ran = payments(tmp_path, *arguments)
    assert ran.code == 2
    assert "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS" in one_line(ran)


def test_without_kafka_running_a_command_ends_with_3(tmp_path: Path) -> None:
    ran = payments(tmp_path, "topics", "create", PAYMENTS_KAFKA_BOOTSTRAP_SERVERS=NOBODY)
    assert ran.code == 3
    assert f"no Kafka broker answers at {NOBODY}" in one_line(ran)


def test_config_prints_one_document_with_secrets_masked(tmp_path: Path) -> None:
    environment = {"PAYMENTS_DATABASE_URL": "postgresql://app:hunter2@db/x", "PAYMENTS_STRIPE_API_KEY": "sk_test_1"}
    ran = payments(tmp_path, "config", "--json", **environment)
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    assert document["PAYMENTS_DATABASE_URL"] == "postgresql://app:**********@db/x"
    assert document["PAYMENTS_STRIPE_API_KEY"] == "**********"
    assert len(document) == len(Settings.model_fields)
    plain = payments(tmp_path, "config", **environment)
    assert "PAYMENTS_LEASE_S=60\n" in plain.out
    assert "hunter2" not in plain.out + ran.out


def test_an_embedded_run_that_lies_here_is_used_and_said_on_stderr(tmp_path: Path) -> None:
    (tmp_path / ".payments").mkdir()
    (tmp_path / ".payments" / "env").write_text("PAYMENTS_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:7\n")
    ran = payments(tmp_path, "config", "--json")
    assert json.loads(ran.out)["PAYMENTS_KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:7"
    assert ".payments/env" in ran.err


def test_each_family_of_errors_has_its_exit_code() -> None:
    statement = "select secret"
    errors = [
        (SettingsError("set X"), 2, "set X"),
        (Failure("no such order"), 1, "no such order"),
        (DownForEverybody("nobody\nthere"), 3, "nobody there"),
        (KafkaConnectionError(), 3, "check that it runs"),
        (psycopg.OperationalError("connection refused\n\tis it running?"), 3, "connection refused is it running?"),
        (sqlalchemy.exc.OperationalError(statement, {}, psycopg.OperationalError("refused")), 3, "(refused)"),
        (wrapped(psycopg.errors.ReadOnlySqlTransaction("read-only transaction")), 3, "(read-only transaction)"),
        (wrapped(psycopg.errors.InsufficientPrivilege("permission denied")), 3, "(permission denied)"),
        (psycopg.errors.TransactionTimeout("transaction timeout"), 3, "(transaction timeout)"),
        (ConnectionRefusedError(111, "refused"), 3, "check that it runs"),
        (psycopg.errors.InsufficientPrivilege("must be owner of table inbox"), 3, "forbids it (must be owner"),
        (
            sqlalchemy.exc.ProgrammingError(statement, {}, psycopg.errors.InsufficientPrivilege("permission denied")),
            3,
            "grant that to the user of PAYMENTS_DATABASE_URL",
        ),
        (psycopg.OperationalError("connection failed: FATAL:  no such user"), 3, "refuses the connection"),
    ]
    for error, code, says in errors:
        explained = explain(error)
        assert explained is not None
        assert explained.exit_code == code
        assert says in explained.text
        assert "\n" not in explained.text
        assert statement not in explained.text


def errors_of(*packages: ModuleType) -> Iterator[type[Exception]]:
    """Find every class of errors that these packages define."""
    for package in packages:
        inside = [found.name for found in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
        for name in (package.__name__, *inside):
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == name:
                    yield value


# What never leaves its package: verdicts on a schema or a body that become a Rejected, an order to a thread, and what
# stands for another error in a log.
INSIDE = {"Malformed", "UnsafeSchema", "UnknownShape", "_Closed", "Raised"}
ANSWERED_NO = {"Permanent", "Rejected", "TooManyQuarantined"}
WORDS = "what\nit is"
MADE_WITH: dict[str, tuple[Any, ...]] = {
    "Rejected": (Reason.UNKNOWN_SCHEMA, WORDS),
    "TooManyQuarantined": (3, WORDS),
    "Interrupted": (WORDS, Published([])),
}
FAMILIES = [family for family in errors_of(domain, schemas) if family.__name__ not in INSIDE]


@click.command()
@click.argument("module")
@click.argument("name")
def failing(module: str, name: str) -> None:
    """Fail with this error."""
    raise getattr(importlib.import_module(module), name)(*MADE_WITH.get(name, (WORDS,)))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_error_of_domain_and_schemas_is_one_line_with_its_exit_code(family: type[Exception]) -> None:
    group = LazyGroup("payments", commands_table=[Command("fail", f"{__name__}:failing", "Fail.")])
    ran = CliRunner().invoke(group, ["fail", family.__module__, family.__name__])
    assert ran.exit_code == (1 if family.__name__ in ANSWERED_NO else 3)
    assert (ran.stdout, ran.stderr.count("\n")) == ("", 1)
    assert ran.stderr.startswith("payments: ")
    assert "what it is" in ran.stderr


def test_all_families_of_errors_are_tried() -> None:
    names = {family.__name__ for family in FAMILIES}
    assert names >= {"Transient", "RegistryDown", "Unfit", "NotRegistered", "SchemaAwaited", *ANSWERED_NO}


def wrapped(error: psycopg.Error) -> Exception:
    return sqlalchemy.exc.DBAPIError("select secret", {}, error)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        wrapped(psycopg.errors.UndefinedTable("no such table")),
        psycopg.errors.NumericValueOutOfRange("out of range"),
        psycopg.errors.ProgramLimitExceeded("too large"),
    ],
)
def test_a_bug_is_not_made_to_look_like_a_wrong_answer(error: Exception) -> None:
    assert explain(error) is None
