"""A real Apache Kafka and a real PostgreSQL from packages alone, on 127.0.0.1, for demos, development and tests.

What starts, adopts, watches and stops those servers belongs here. Nothing of payments ever does, nor a setting read
from the environment, nor anything that production runs.
"""

from deploy.embedded.errors import DirectoryInUse, EmbeddedError, JarRefused
from deploy.embedded.managed import Managed, ManagedProcess
from deploy.embedded.ports import kept_port
from deploy.embedded.servers import EmbeddedServers
from deploy.embedded.supervise import Supervisor, run_embedded, stop_on_signals
from deploy.embedded.temporary import temporary_servers

__all__ = [
    "DirectoryInUse",
    "EmbeddedError",
    "EmbeddedServers",
    "JarRefused",
    "Managed",
    "ManagedProcess",
    "Supervisor",
    "kept_port",
    "run_embedded",
    "stop_on_signals",
    "temporary_servers",
]
