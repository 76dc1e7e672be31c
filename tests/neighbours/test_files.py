"""The files of all kits, in every language: they are whole, pinned, and say the settings on which money depends."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from deploy.contract_pages.readers import READERS
from deploy.contract_pages.rights import rights_of
from schemas.topics import TOPICS
from tests.neighbours.cancelling import HAND_OVER
from tests.neighbours.kits import ALL, KITS, Kit

SETTINGS = {
    "python-aiokafka": (
        "enable_idempotence=True",
        'acks="all"',
        'auto_offset_reset="earliest"',
        "enable_auto_commit=False",
    ),
    "python-confluent": (
        '"partitioner": "murmur2_random"',
        '"enable.idempotence": True',
        '"acks": "all"',
        '"auto.offset.reset": "earliest"',
        '"enable.auto.commit": False',
    ),
    "node": (
        "createPartitioner: Partitioners.DefaultPartitioner",
        "idempotent: true",
        "acks: ALL",
        "fromBeginning: true",
        "autoCommit: false",
    ),
    "java": (
        "ENABLE_IDEMPOTENCE_CONFIG, true",
        'ACKS_CONFIG, "all"',
        'AUTO_OFFSET_RESET_CONFIG, "earliest"',
        "ENABLE_AUTO_COMMIT_CONFIG, false",
    ),
    "go": (
        "RecordPartitioner(kgo.StickyKeyPartitioner(nil))",
        "RequiredAcks(kgo.AllISRAcks())",
        "ProducerBatchCompression(kgo.NoCompression())",
        "ConsumeResetOffset(kgo.NewOffset().AtStart())",
        "AutoCommitMarks()",
    ),
}
VARIABLES = (
    "KAFKA_BOOTSTRAP_SERVERS",
    "TOPIC_PREFIX",
    "SCHEMAS",
    "DATABASE_URL",
    "GROUP_ID",
    "COMMIT_INTERVAL_MS",
    "SESSION_TIMEOUT_MS",
    "PLAY_MONEY",
)
CODE = {".py", ".js", ".java", ".go"}
OURS = re.compile(r"^\s*(?:from|import) +(?:schemas|domain|outbox|consumers|producers|deploy|tests)\b", re.MULTILINE)
ADDRESS = re.compile(r"https?://(?!maven\.apache\.org/POM/4\.0\.0)")

every_kit = pytest.mark.parametrize("kit", ALL, ids=lambda kit: kit.name)


def code_of(kit: Kit) -> str:
    return "\n".join(path.read_text("utf-8") for path in sorted(kit.source.rglob("*")) if path.suffix in CODE)


@every_kit
def test_a_kit_sets_partitioner_acks_idempotence_and_where_a_group_begins_and_commits(kit: Kit) -> None:
    code = code_of(kit)
    assert [setting for setting in SETTINGS[kit.name] if setting not in code] == []


@every_kit
def test_a_kit_takes_what_the_page_of_all_kits_says_and_its_own_page_names_its_files(kit: Kit) -> None:
    page, code = (KITS / "README.md").read_text("utf-8"), code_of(kit)
    assert f"]({kit.name}/)" in page
    assert [name for name in VARIABLES if f"`{name}`" not in page or not re.search(rf"\b{name}\b", code)] == []
    own = (kit.source / "README.md").read_text("utf-8")
    assert "tables.sql" in own
    assert "| setting | value | why |" in own


@every_kit
def test_a_kit_needs_no_part_of_ours_and_names_no_address_of_a_registry(kit: Kit) -> None:
    assert OURS.findall(code_of(kit)) == []
    named = [p.name for p in sorted(kit.source.rglob("*")) if p.is_file() and ADDRESS.search(p.read_text("utf-8"))]
    assert named == []


@every_kit
def test_the_group_of_a_subscriber_is_covered_by_the_rights_that_the_contract_gives_delivery(kit: Kit) -> None:
    (delivery,) = (reader for reader in READERS if reader.slug == "delivery")
    (groups,) = (right.name for right in rights_of(delivery, "") if right.resource == "group")
    assert re.findall(r"\bGROUP_ID\W+(?:or\W+)?(delivery[\w.]*)", code_of(kit)) == [f"{groups}dispatch"]
    assert f"| `GROUP_ID` | `{groups}dispatch` |" in (KITS / "README.md").read_text("utf-8")


@every_kit
def test_every_subscriber_has_the_same_tables(kit: Kit) -> None:
    assert (kit.source / "tables.sql").read_bytes() == (KITS / "python-aiokafka" / "tables.sql").read_bytes()


@every_kit
def test_a_subscriber_reads_just_the_topics_that_the_contract_lets_delivery_read(kit: Kit) -> None:
    (delivery,) = (reader for reader in READERS if reader.slug == "delivery")
    named = {event_type for event_type in TOPICS if re.search(rf"\b{event_type}\b", code_of(kit))}
    assert named - {"OrderConfirmed"} == set(delivery.reads)


@every_kit
def test_a_kits_page_says_what_becomes_of_cancelled_orders_and_how_goods_are_handed_over(kit: Kit) -> None:
    page = (kit.source / "README.md").read_text("utf-8").partition("## A cancelled order")[2]
    assert HAND_OVER.replace("%s", "$1").replace("returning order_id", "returning lines") in page
    states = re.search(r"state in \(([^)]+)\)", (kit.source / "tables.sql").read_text("utf-8"))
    assert states is not None
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE) == re.findall(r"\w+", states[1])


@pytest.mark.parametrize("file", ["contract.py", "environment.py"])
def test_both_python_kits_have_the_same_file(file: str) -> None:
    one, other = (KITS / name / file for name in ("python-aiokafka", "python-confluent"))
    assert one.read_bytes() == other.read_bytes()


def test_every_library_of_every_kit_is_pinned_to_one_version() -> None:
    exact = re.compile(r"v?\d+(\.\d+)+")
    found = {
        **_python_pins(KITS / "python-aiokafka"),
        **_python_pins(KITS / "python-confluent"),
        **json.loads((KITS / "node" / "package.json").read_text("utf-8"))["dependencies"],
        **_maven_pins(KITS / "java" / "pom.xml"),
    }
    assert len(found) == 15
    assert {name: version for name, version in found.items() if not exact.fullmatch(version)} == {}
    locked = json.loads((KITS / "node" / "package-lock.json").read_text("utf-8"))["packages"]
    assert [name for name, package in locked.items() if name and "integrity" not in package] == []
    go = (KITS / "go" / "go.sum").read_text("utf-8")
    for module, version in re.findall(r"^\t(\S+) (v\S+)", (KITS / "go" / "go.mod").read_text("utf-8"), re.MULTILINE):
        assert f"{module} {version} h1:" in go


def _python_pins(kit: Path) -> dict[str, str]:
    lines = (kit / "requirements.in").read_text("utf-8").split()
    locked = (kit / "requirements.txt").read_text("utf-8")
    pins = dict(line.split("==") for line in lines)
    for name, version in pins.items():
        assert re.search(
            rf"^{re.escape(name.partition('[')[0])}(?:\[binary\])?=={re.escape(version)} ", locked, re.MULTILINE
        )
    return pins


def _maven_pins(pom: Path) -> dict[str, str]:
    space = {"": "http://maven.apache.org/POM/4.0.0"}
    of = ET.parse(pom).getroot()
    both = [*of.iterfind(".//dependency", space), *of.iterfind(".//plugin", space)]
    return {str(one.findtext("artifactId", "", space)): str(one.findtext("version", "", space)) for one in both}
