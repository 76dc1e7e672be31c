"""A real Apache Kafka and a real PostgreSQL from packages alone, on 127.0.0.1, for demos, development and tests.

What belongs here: starting, adopting, watching and stopping those servers. What never will: anything about payments, a
setting read from the environment, or anything that production runs.
"""

from deploy.embedded.errors import DirectoryInUse, EmbeddedError, JarRefused
from deploy.embedded.managed import Managed, ManagedProcess, Server
from deploy.embedded.ports import kept_port
from deploy.embedded.programs import Programs
from deploy.embedded.servers import EmbeddedServers
from deploy.embedded.supervise import EmbeddedRun, Supervisor, start_or_give_up
from deploy.embedded.temporary import temporary_servers

__all__ = [
    "DirectoryInUse",
    "EmbeddedError",
    "EmbeddedRun",
    "EmbeddedServers",
    "JarRefused",
    "Managed",
    "ManagedProcess",
    "Programs",
    "Server",
    "Supervisor",
    "kept_port",
    "start_or_give_up",
    "temporary_servers",
]
