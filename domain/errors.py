"""The families of errors. Declines and shortages are values (domain.outcome), never errors.

Any other error is a bug. If one message, operation or order raises it, that one is put in quarantine and the others go
on. Anywhere else, or if it happens too often, the process stops with a clear message. Nothing is lost: what was not
committed is read again.
"""


class Transient(Exception):  # noqa: N818 - a family of errors, named by an adjective
    """Trying again later may work. Never a reason for a dead letter.

    dependency: what did not answer. alarm: the reason of the alarm.
    """

    dependency = "postgresql"
    alarm = "dependency_down"


class DownForEverybody(Transient):
    """A dependency refuses every call (wrong credentials, nobody listening): pause and log the alarm."""


class KafkaDown(DownForEverybody):
    """Kafka does not answer, or refuses us."""

    dependency = "kafka"


class RegistryDown(DownForEverybody):
    """The schema registry does not answer."""

    dependency = "schema_registry"


class Contended(Transient):
    """Another transaction won a race. Run the whole transaction again at once."""


class Violated(Contended):
    """A constraint was violated, because another transaction won. If this repeats, the work itself is wrong."""


class Busy(Transient):
    """Another session holds a lock that we need, for longer than we wait: run it again later. We do not cause it.

    at_row: it is known to be the lock of a row, not of a table.
    """

    alarm = "lock_held"

    def __init__(self, said: str, *, at_row: bool = False) -> None:
        super().__init__(said)
        self.at_row = at_row


class TooMuch(Transient):
    """The database failed at work of this size (time or memory): run it again with half of it.

    For a single message it counts as an outage: wait, then try again.
    """


class Permanent(Exception):  # noqa: N818 - as Transient
    """Trying again cannot help: the message becomes a dead letter."""


class Unfit(Exception):  # noqa: N818 - as Transient
    """This release cannot work with the database or the registry: stop. Run `payments migrate`."""


class TooManyQuarantined(Exception):  # noqa: N818 - as Transient
    """Too much work raised errors within ten minutes: a bug of the release. Nothing more is quarantined; stop."""

    def __init__(self, most: int, detail: str) -> None:
        super().__init__(
            f"too much raised within ten minutes (PAYMENTS_QUARANTINE_MAX is {most}), and now {detail}: a bug of the "
            "release, so the process stops. Nothing is lost: see `payments dlq list --reason quarantined`, and go back "
            "to the last release"
        )
