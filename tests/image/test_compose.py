"""compose.yaml fits the product: settings, commands, the demo's own times, and the files that it mounts."""

import tomllib
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


def test_prometheus_asks_each_role_where_it_exports() -> None:
    asked = yaml.safe_load((FILES / "prometheus.yml").read_text("utf-8"))["scrape_configs"][0]["static_configs"]
    ports = {one["labels"]["role"]: one["targets"][0].rpartition(":")[2] for one in asked}
    exported = {
        name: COMPOSE["services"][name]["environment"]["PAYMENTS_METRICS_LISTEN"].rpartition(":")[2] for name in ports
    }
    assert exported == ports == {"consume": "9101", "relay": "9102", "sweep": "9103", "webhooks": "9104"}


def test_images_and_chart_are_of_this_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    chart = yaml.safe_load((ROOT / "deploy" / "chart" / "payments" / "Chart.yaml").read_text("utf-8"))
    tags = {COMPOSE["services"][name]["image"].rstrip("}").rpartition(":")[2] for name in OURS}
    assert (tags, chart["appVersion"]) == ({project["version"]}, project["version"])
