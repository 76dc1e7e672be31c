"""What the chart makes fits Kubernetes, and fits the product: its commands, settings, secrets, topics and reactions.

These tests read what `make chart` rendered with helm and compared with the chart: so they need no helm.
"""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from consumers.reactions import BY_TRIGGER
from deploy.cli import COMMANDS
from deploy.settings import SECRET_NAMES, Settings, load_settings
from deploy.topics import owners_of, wanted_of
from tests.chart.manifests import (
    CHART,
    EXAMPLES,
    FOREIGN_GROUPS,
    KUBERNETES,
    container,
    environment,
    injected,
    kind_of,
    manifests,
    pods,
)
from tests.chart.table import table, table_text
from tests.secure.certificates import Authority

A_SECRET = {
    "PAYMENTS_DATABASE_URL": "postgresql://app:secret@db:5432/payments",
    "PAYMENTS_DATABASE_DIRECT_URL": "postgresql://app:secret@db:5433/payments",
    "PAYMENTS_SMTP_URL": "smtp://shop:secret@mail.example",
}
each_example = pytest.mark.parametrize("example", EXAMPLES)


def settings_of(spec: Any, folder: Path, more: dict[str, str] | None = None) -> Settings:
    """Read the settings as the process in this pod would."""
    given = {**environment(spec), **(more or {})}
    for name in [name for name in given if name.endswith("_FILE")]:
        secret = name.removesuffix("_FILE")
        given[name] = str(folder / secret)
        (folder / secret).write_text(A_SECRET.get(secret, "sk_test_secret"), encoding="utf-8")
    if "PAYMENTS_KAFKA_SSL_CAFILE" in given:
        given["PAYMENTS_KAFKA_SSL_CAFILE"] = str(Authority("Kafka's").write(folder, "ca"))
    return load_settings(given, directory=folder, use_embedded=False)


@each_example
def test_kubernetes_takes_every_manifest(example: str) -> None:
    for one in manifests(example):
        if not one["apiVersion"].startswith(FOREIGN_GROUPS):
            kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    (service,) = kind_of(manifests("small"), "Service")
    wrong = {**service, "spec": {**service["spec"], "selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


@each_example
def test_every_pod_runs_a_command_that_there_is(example: str) -> None:
    commands = {command.name for command in COMMANDS}
    for name, spec in pods(manifests(example)):
        command, *rest = container(spec)["args"]
        assert command in commands, name
        if command == "consume":
            assert set(rest) <= {*BY_TRIGGER, "all"}, name


@each_example
def test_somebody_consumes_each_topic_and_the_other_roles_run(example: str) -> None:
    arguments = [container(spec)["args"] for _, spec in pods(manifests(example))]
    consumed = {trigger for command, *rest in arguments if command == "consume" for trigger in rest}
    assert "all" in consumed or consumed == set(BY_TRIGGER)
    assert {"relay", "sweep", "migrate"} <= {command for command, *_ in arguments}


@each_example
def test_every_pod_starts_with_its_settings(example: str, tmp_path: Path) -> None:
    for _, spec in pods(manifests(example)):
        settings_of(spec, tmp_path)


@each_example
def test_what_kubernetes_injects_for_our_services_keeps_no_process_from_starting(example: str, tmp_path: Path) -> None:
    found = manifests(example)
    names: dict[str, str] = {}
    for service in kind_of(found, "Service"):
        names |= injected(service)
    for _, spec in pods(found):
        assert spec["enableServiceLinks"] is False
        assert settings_of(spec, tmp_path, names) == settings_of(spec, tmp_path)


@each_example
def test_no_process_holds_a_secret_that_it_does_not_need(example: str) -> None:
    gateway = {"PAYMENTS_STRIPE_API_KEY_FILE"}
    for name, spec in pods(manifests(example)):
        command = container(spec)["args"][0]
        secrets = {entry for entry in environment(spec) if entry.removesuffix("_FILE") in SECRET_NAMES}
        assert all(entry.endswith("_FILE") for entry in secrets), name
        if command not in {"consume", "sweep"}:
            assert not secrets & gateway, name
        if command in {"topics", "schemas"}:
            assert not any("DATABASE" in entry for entry in secrets), name
        if command in {"webhooks", "migrate", "schemas"}:
            assert not any("KAFKA" in entry for entry in secrets), name


@each_example
def test_a_secret_file_is_mounted_where_its_setting_looks(example: str) -> None:
    for name, spec in pods(manifests(example)):
        mounted = {mount["name"]: mount["mountPath"] for mount in container(spec).get("volumeMounts", [])}
        assert not any("subPath" in mount for mount in container(spec).get("volumeMounts", [])), name
        files = set()
        for volume in spec.get("volumes", []):
            sources = [source["secret"] for source in volume.get("projected", {}).get("sources", [])]
            sources += [volume["secret"]] if "secret" in volume else []
            files |= {f"{mounted[volume['name']]}/{item['path']}" for source in sources for item in source["items"]}
        wanted = {
            value
            for key, value in environment(spec).items()
            if key.endswith("_FILE") or key == "PAYMENTS_KAFKA_SSL_CAFILE"
        }
        assert files == wanted, name


@each_example
def test_every_container_is_restricted(example: str) -> None:
    for name, spec in pods(manifests(example)):
        pod, inner = spec["securityContext"], container(spec)["securityContext"]
        assert pod["runAsNonRoot"] is True, name
        assert pod["runAsUser"] > 0, name
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert inner == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert spec["automountServiceAccountToken"] is False, name


@each_example
def test_a_pod_is_given_more_time_than_its_process_takes_to_stop(example: str, tmp_path: Path) -> None:
    for deployment in kind_of(manifests(example), "Deployment"):
        spec = deployment["spec"]["template"]["spec"]
        settings = settings_of(spec, tmp_path)
        assert spec["terminationGracePeriodSeconds"] >= settings.drain_timeout_s + 15


def test_the_chart_knows_the_products_topics_reactions_and_rights() -> None:
    assert (CHART / "payments" / "files" / "topics.yaml").read_text("utf-8") == table_text()


def test_strimzis_topics_are_those_that_the_product_makes(tmp_path: Path) -> None:
    found = manifests("full")
    (spec,) = [spec for name, spec in pods(found) if name == "payments-relay"]
    settings = settings_of(spec, tmp_path)
    wanted = wanted_of(settings)
    made = {topic["spec"]["topicName"]: topic["spec"] for topic in kind_of(found, "KafkaTopic")}
    assert set(made) == set(owners_of(settings.topic_prefix))
    for spec_of_topic in made.values():
        assert (spec_of_topic["partitions"], spec_of_topic["replicas"]) == (wanted.partitions, 3)
        config = {name: str(value).lower() for name, value in spec_of_topic["config"].items()}
        assert config == wanted.configs()


def test_topics_have_one_owner() -> None:
    for example in EXAMPLES:
        found = manifests(example)
        job = any(name.endswith("-topics") for name, _ in pods(found))
        assert job != bool(kind_of(found, "KafkaTopic"))


def test_each_kafka_user_has_the_rights_of_its_role_and_no_more() -> None:
    users = {user["metadata"]["name"]: user["spec"] for user in kind_of(manifests("full"), "KafkaUser")}
    assert set(users) == {"payments-consume", "payments-relay", "payments-sweep"}
    for name, spec in users.items():
        granted = [
            (acl["resource"]["type"], acl["resource"]["name"], acl["operations"])
            for acl in spec["authorization"]["acls"]
        ]
        rights = table()["users"][name.removeprefix("payments-")]
        assert granted == [(right["type"], "eu." + right["name"], right["operations"]) for right in rights]
    writers = {
        name
        for name, spec in users.items()
        if any("Write" in acl["operations"] for acl in spec["authorization"]["acls"])
    }
    assert writers == {"payments-relay"}


def test_labels_of_a_budget_and_a_service_find_their_pods() -> None:
    for example in EXAMPLES:
        found = manifests(example)
        labels = [one["spec"]["template"]["metadata"]["labels"] for one in kind_of(found, "Deployment")]
        selectors = [one["spec"]["selector"]["matchLabels"] for one in kind_of(found, "PodDisruptionBudget")]
        selectors += [one["spec"]["selector"] for one in kind_of(found, "Service")]
        for selector in selectors:
            assert sum(selector.items() <= of_pod.items() for of_pod in labels) == 1
