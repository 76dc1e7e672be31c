"""Who types a command: the OS user, by the system's word and not the environment's."""

import os
import pwd


def os_user() -> str:
    """Return the user's name, or the number of one that has none (as in a container)."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
