"""Times for people: to the second, how long after the start, and how long ago."""

from datetime import datetime, timedelta


def moment(at: datetime) -> str:
    """Write a time in UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S}"


def later(passed: timedelta) -> str:
    """Write a duration after the start: +0.057 s, +2 min 03 s, +1 h 02 min, +3 d 04 h."""
    seconds = passed.total_seconds()
    if seconds < 60:
        return f"+{seconds:.3f} s"
    if seconds < 3_600:
        return f"+{seconds // 60:.0f} min {seconds % 60:02.0f} s"
    if seconds < 86_400:
        return f"+{seconds // 3_600:.0f} h {seconds % 3_600 // 60:02.0f} min"
    return f"+{seconds // 86_400:.0f} d {seconds % 86_400 // 3_600:02.0f} h"


def ago(passed: timedelta) -> str:
    """Write how long ago, in the largest unit that fits."""
    seconds = max(0, int(passed.total_seconds()))
    for name, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"
