"""The families of errors. Declines and shortages are values (domain.outcome), never errors.

Anything that is not one of these is a bug. If one message, operation or order raises it, that one is put in quarantine
and the others go on. Anywhere else, and when it happens too often, it stops the process with a clear message; nothing
is lost, because what was not committed is read again.
"""


class Transient(Exception):  # noqa: N818 - the word of the architecture; it is a family, not a noun
    """Trying the same again later may work; nothing is dead-lettered for it.

    dependency: what did not answer, for the alarm. alarm: its reason.
    """

    dependency = "postgresql"
    alarm = "dependency_down"


class DownForEverybody(Transient):
    """A dependency refuses every call (credentials refused, nobody listening): pause and raise the alarm."""


class KafkaDown(DownForEverybody):
    """Kafka does not answer, or refuses us."""

    dependency = "kafka"


class RegistryDown(DownForEverybody):
    """The schema registry does not answer."""

    dependency = "schema_registry"


class Contended(Transient):
    """Another transaction won a race; the whole transaction is run again at once."""


class Violated(Contended):
    """A constraint was broken: another transaction won. If the same is broken again and again, the work is wrong."""


class Busy(Transient):
    """Another session holds a lock that we need, for longer than we wait: run it again later. We do not cause it."""

    alarm = "lock_held"


class TooMuch(Transient):
    """The database gave up on work of this size (time or memory): run it again with half of it.

    Raised for a single message, it is an outage: wait, then try again.
    """


class Permanent(Exception):  # noqa: N818 - as Transient
    """Trying again cannot help: this message goes to the dead letters."""


class Unfit(Exception):  # noqa: N818 - as Transient
    """The database or the registry is not one that this release can work with: stop. Run `payments migrate`."""


class TooManyQuarantined(Exception):  # noqa: N818 - as Transient
    """So much raised within ten minutes that it is a bug of the release: nothing more is quarantined, and it stops."""

    def __init__(self, most: int, detail: str) -> None:
        super().__init__(
            f"too much raised within ten minutes (PAYMENTS_QUARANTINE_MAX is {most}), and now {detail}: a bug of the "
            "release, so the process stops. Nothing is lost: see `payments dlq list --reason quarantined`, and go back "
            "to the last release"
        )
