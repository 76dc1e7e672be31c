"""The families of errors. Declines and shortages are values (domain.outcome), never errors.

Anything that is not one of these is a bug: it stops the process with a clear message, and nothing is lost, because what
was not committed is read again.
"""


class Transient(Exception):  # noqa: N818 - the word of the architecture; it is a family, not a noun
    """Trying the same again later may work; nothing is dead-lettered for it."""


class DownForEverybody(Transient):
    """A dependency refuses every call (credentials refused, nobody listening): pause and raise the alarm."""


class Contended(Transient):
    """Another transaction won a race; the whole transaction is run again at once."""


class TooMuch(Transient):
    """The database gave up on work of this size (time or memory): run it again with half of it.

    Raised for a single message, it is an outage: wait, then try again.
    """


class Permanent(Exception):  # noqa: N818 - as Transient
    """Trying again cannot help: this message goes to the dead letters."""
