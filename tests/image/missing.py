"""What is raised when a tool is not here."""


class Missing(Exception):  # noqa: N818 - it is no error of ours: the text says what to install
    """A tool is not on this machine, or does not answer. The text says which, and how to get it."""
