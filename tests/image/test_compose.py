"""compose.yaml fits the product: settings, commands, the demo's own times, and the files that it mounts."""

from pathlib import Path
from typing import Any

import yaml

from deploy.cli import COMMANDS
from deploy.demo.script import customer_file
from deploy.demo.settings import SETTINGS
from deploy.demo.standing import deployment
from deploy.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
FILES = ROOT / "deploy" / "compose"
OURS = [name for name, service in COMPOSE["services"].items() if "payments" in service["image"]]
NOT_A_COMMAND = {"gateway", "registry-ready"}
"""Programs of ours that are no command: the gateway sandbox, and who waits for the registry."""


def environment() -> dict[str, str]:
    return dict(COMPOSE["x-payments"]["environment"])


def settings(tmp_path: Path) -> Settings:
    given = {**environment(), "PAYMENTS_CUSTOMER_DIRECTORY": str(FILES / "customers.csv")}
    return load_settings(given, directory=tmp_path, use_embedded=False)


def test_every_setting_is_one_and_the_demo_accepts_them(tmp_path: Path) -> None:
    deployment(settings(tmp_path))


def test_times_are_those_of_the_demo() -> None:
    told = environment()
    differ = {"PAYMENTS_SMTP_FROM"}
    assert {name: told.get(name) for name in SETTINGS if name not in differ} == {
        name: value for name, value in SETTINGS.items() if name not in differ
    }


def test_every_process_of_ours_runs_a_command_that_there_is_and_every_role_runs() -> None:
    commands = {name: COMPOSE["services"][name]["command"][0] for name in OURS if name not in NOT_A_COMMAND}
    assert set(commands.values()) <= {command.name for command in COMMANDS}
    assert {"migrate", "topics", "schemas", "consume", "relay", "sweep", "webhooks", "demo"} == set(commands.values())


def test_every_process_of_ours_is_locked_up() -> None:
    for name in OURS:
        service = COMPOSE["services"][name]
        assert service["read_only"] is True, name
        assert service["user"] == "10001:10001", name
        assert service["cap_drop"] == ["ALL"], name


def test_the_customers_are_those_of_the_demos_script() -> None:
    assert (FILES / "customers.csv").read_text("utf-8") == customer_file()


def test_gateway_and_endpoint_share_the_webhooks_secret(tmp_path: Path) -> None:
    secret = (FILES / "webhook.secret").read_text("utf-8").strip()
    assert settings(tmp_path).webhook_secrets() == (secret,)
