"""The pages of runbooks: a section for each alert and for each reason of an alarm."""

from collections.abc import Iterable
from typing import Final

from deploy.alerts.alert import Alert
from deploy.alerts.sections import LETTER, REVIEW, RUNNING, STOCK_SHORT, UNREADABLE, Section
from deploy.alerts.standing import LETTERS, REVIEWS
from deploy.alerts.table import ALERTS
from deploy.metrics.metric import OTHER
from domain.alarms import ALARMS
from domain.alarms import Alarm as Explained
from schemas.rejection import Reason

_SPECIAL: Final = {Reason.STOCK_SHORT.value: STOCK_SHORT, Reason.UNREADABLE.value: UNREADABLE}
_UNKNOWN: Final = Explained(
    "The process that exports it is of another release: it knows a reason that its list does not have.",
    "Find the line in the log, and do what it says.",
)
_LOG: Final = Section(("sum by (reason) (increase(payments_alarms_total[15m]))",), "It does not ring any more.")
_MADE: Final = "<!-- Made from deploy/alerts by `python -m tests.alerts --write`. -->"


def pages() -> dict[str, str]:
    """Return the text of every page, by its file's name."""
    letters = {reason: _SPECIAL.get(reason, LETTER) for reason in (*LETTERS, Reason.QUARANTINED.value)}
    return {
        "alerts.md": _page("Alerts", "What each alert of Prometheus means.", map(_of_alert, ALERTS)),
        "alarms.md": _page(
            "Alarms",
            "What each alarm in the log means. Find its line by `reason`; it has the ids.",
            (
                _of_reason(reason, section)
                for reason, section in {**RUNNING, "unreadable": UNREADABLE, OTHER: _LOG}.items()
            ),
        ),
        "letters.md": _page(
            "Dead letters",
            "Why a message could not be processed.",
            (_of_reason(reason, section) for reason, section in {**letters, OTHER: LETTER}.items()),
        ),
        "reviews.md": _page(
            "Reviews",
            "Why an order waits for a person. deploy/README.md has the answers that `payments order resolve` takes.",
            (_of_reason(reason, REVIEW) for reason in (*REVIEWS, f"review_{OTHER}")),
        ),
    }


def _page(title: str, about: str, sections: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", _MADE, "", about, "", *sections]).rstrip() + "\n"


def _of_alert(alert: Alert) -> str:
    told = [f"**Means.** {_plain(alert.summary)} ({alert.severity.value})"]
    if alert.reasons:
        told.append(f"**Alarms that it tells.** {', '.join(f'`{reason}`' for reason in alert.reasons)}")
    return _section(alert.name, told, alert.look, alert.todo, alert.over)


def _of_reason(reason: str, section: Section) -> str:
    known = ALARMS.get(reason, _UNKNOWN)
    return _section(reason, [f"**Means.** {known.meaning}"], section.look, known.todo, section.over)


def _section(name: str, told: list[str], look: tuple[str, ...], todo: str, over: str) -> str:
    lines = [f"## {name}", ""]
    for text in told:
        lines += [text, ""]
    lines += ["**Look at.**", "", *(f"    {one}" for one in look), ""]
    return "\n".join([*lines, f"**Do.** {todo}", "", f"**Over.** {over}", ""])


def _plain(summary: str) -> str:
    """Return a summary without Prometheus' braces."""
    return summary.replace("{{ $labels.", "`").replace(" }}", "`")
