"""What a check raises when a tool is not here. In a file of its own: the table of checks imports those who raise it."""


class Missing(Exception):  # noqa: N818 - it is no error: the check is left out, and the report says so
    """A tool is not on this machine, or cannot be installed. The text says which, and how to get it."""
