"""What the client raises when a broker does not answer."""

from typing import Final

from aiokafka.errors import KafkaError

NO_ANSWER: Final = (KafkaError, TimeoutError, OSError, RuntimeError)
"""A broker that is killed breaks the connection, and the client hears of it a moment later. uvloop refuses to write in
between, with a plain RuntimeError, and aiokafka 0.14 expects OSError alone. A RuntimeError of ours, such as
StalledError, is a bug: nothing but a call to the client may stand where this is caught."""
