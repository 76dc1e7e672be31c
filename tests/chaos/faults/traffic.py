"""What upstream sends: other codecs, garbage, strange headers, and the same event on another partition."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from tests.chaos import messages
from tests.chaos.clock import unix_micros
from tests.chaos.faults.scene import Scene
from tests.chaos.faults.segments import batches
from tests.chaos.faults.topics import is_recoded
from tests.chaos.messages import Message, What, Wrongs
from tests.chaos.outlet import Outlet
from tests.chaos.world import PARTITIONS

BATCHES, BATCH = 3, 8
GARBAGE: Final = 8
STRANGE: Final = 4
DUPLICATES: Final = 20
SENT_S: Final = 60.0
NOT_UTF_8: Final[Any] = b"x-\xff\xfe-trace"
"""librdkafka takes the bytes of a name as they are, whatever its types say."""
MILD: Final = (
    ("x-empty", b""),
    ("x-none", None),
    ("x-twice", b"1"),
    ("x-twice", b"2"),
    ("x-binary", bytes(range(256))),
)
"""Headers that any client may send, and every one can read."""


@contextmanager
def compress(scene: Scene) -> Iterator[None]:
    """Publish orders in batches of a codec, as librdkafka makes them: they are as good as any."""
    scene.places = frozenset()
    topic, chosen = scene.topic(messages.ORDER), scene.draw.sample(range(PARTITIONS), BATCHES)
    recoded = is_recoded(scene, topic)
    outlet = _outlet(scene, **{"compression.type": scene.fault.target, "linger.ms": 200, "batch.num.messages": BATCH})
    try:
        orders = iter(scene.stage.script.more(scene.name, BATCHES * BATCH))
        for partition in chosen:
            for _ in range(BATCH):
                scene.stage.shop.confirm(next(orders), outlet, partition)
        _await_sent(scene, outlet)
    finally:
        outlet.close()
    seen = {batch.codec for n in chosen for batch in batches(scene.world.kafka_data / f"{topic}-{n}")}
    if recoded or is_recoded(scene, topic):
        scene.notes.append("another fault had the broker pack them anew")
    else:
        assert scene.fault.target in seen, f"no batch on the broker's disk is of {scene.fault.target}"
    yield


@contextmanager
def send_garbage(scene: Scene) -> Iterator[None]:
    """Publish messages that nobody can act on."""
    scene.places = frozenset()
    made = Wrongs(scene.stage.script, scene.name).make(GARBAGE, unix_micros())
    scene.notes.append(", ".join(message.title for message in made))
    _send(scene, made)
    yield


@contextmanager
def send_headers(scene: Scene) -> Iterator[None]:
    """Publish orders and noise under strange headers, some of which have a name that is not UTF-8."""
    scene.places = frozenset()
    outlet = _outlet(scene)
    try:
        for number, order in enumerate(scene.stage.script.more(scene.name, STRANGE)):
            scene.stage.published.script(order)
            said = messages.confirmed(order, unix_micros())
            strange = MILD if number % 2 else (*MILD, (NOT_UTF_8, b"1"))
            outlet.send(replace(said, headers=(*said.headers, *strange)))
        for number in range(STRANGE):
            outlet.send(_noise(f"{scene.name}-noise-{number}", scene.draw.randrange(PARTITIONS)))
        _await_sent(scene, outlet)
    finally:
        outlet.close()
    yield


@contextmanager
def send_duplicates(scene: Scene) -> Iterator[None]:
    """Publish events again that were published already, on other partitions."""
    scene.places = frozenset()
    sent = list(scene.stage.published.sent(What.ORDER, What.RETRY))[-10 * DUPLICATES :]
    chosen = scene.draw.sample(sent, min(DUPLICATES, len(sent)))
    elsewhere = [
        replace(
            messages.again(one.message), partition=(one.partition + scene.draw.randrange(1, PARTITIONS)) % PARTITIONS
        )
        for one in chosen
    ]
    _send(scene, elsewhere)
    yield


def _noise(name: str, partition: int) -> Message:
    return Message(
        What.WRONG,
        messages.ORDER,
        name,
        name.encode(),
        b"noise under a header " + name.encode(),
        ((NOT_UTF_8, b"1"),),
        reasons=frozenset({"undecodable", "unreadable"}),
        partition=partition,
        title="header name that is not UTF-8",
    )


def _send(scene: Scene, said: Sequence[Message]) -> None:
    outlet = _outlet(scene)
    try:
        for message in said:
            outlet.send(message)
        _await_sent(scene, outlet)
    finally:
        outlet.close()


def _outlet(scene: Scene, **more: object) -> Outlet:
    return Outlet(scene.world.bootstrap, scene.topic(""), scene.stage.published, fault=scene.fault.number, **more)


def _await_sent(scene: Scene, outlet: Outlet) -> None:
    while not outlet.wait(1.0):
        scene.pause(0)
