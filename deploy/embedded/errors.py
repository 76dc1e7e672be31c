"""Errors of the embedded servers. Each message says what to do."""


class EmbeddedError(Exception):
    """An embedded server cannot run; the message says why and what to do. No process of it is left."""


class JarRefused(EmbeddedError):  # noqa: N818 - what happened, as in Transient and Permanent
    """A jar is not the one whose sha256 is committed in kafka.jars.sha256; it is never put on a class path."""


class DirectoryInUse(EmbeddedError):  # noqa: N818 - as JarRefused
    """Another process runs servers on this data directory."""
