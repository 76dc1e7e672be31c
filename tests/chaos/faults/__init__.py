"""Every kind of fault, by its name: a context that is entered to deal it and left to end it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final

from tests.chaos.faults import database, gateway, processes, segments, servers, topics, traffic, transactions
from tests.chaos.faults.scene import Scene

Deal = Callable[[Scene], AbstractContextManager[None]]

DEALS: Final[Mapping[str, Deal]] = {
    "killed": processes.kill,
    "frozen": processes.freeze,
    "redeployed": processes.redeploy,
    "power cut": servers.cut_power,
    "kafka killed": servers.kill_kafka,
    "kafka frozen": servers.freeze_kafka,
    "postgres killed": servers.kill_postgres,
    "postgres frozen": servers.freeze_postgres,
    "sessions ended": database.end_sessions,
    "read only": database.make_read_only,
    "dump": database.dump,
    "row locked": database.lock_row,
    "time limit": database.limit_time,
    "sandbox killed": gateway.kill_sandbox,
    "sandbox frozen": gateway.freeze_sandbox,
    "gateway down": gateway.take_down,
    "gateway slow": gateway.slow_down,
    "gateway late": gateway.answer_late,
    "wire cut": gateway.cut_wire,
    "compressed": traffic.compress,
    "garbage": traffic.send_garbage,
    "headers": traffic.send_headers,
    "duplicates": traffic.send_duplicates,
    "open transaction": transactions.hold_open,
    "aborted transaction": transactions.abort,
    "topic recoded": topics.recode,
    "partitions added": topics.add_partitions,
    "unreadable": segments.spoil,
}
