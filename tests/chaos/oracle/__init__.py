"""The oracle: compares what was published with what came of it. It shares no code with the audit."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from tests.chaos.oracle.case import Case, Index, Violation
from tests.chaos.oracle.delays import Delay, check_delays, delays, waits
from tests.chaos.oracle.ends import check_ends
from tests.chaos.oracle.flow import (
    check_bytes,
    check_calls,
    check_journal,
    check_kafka,
    check_notices,
    check_order,
    check_rest,
    check_strangers,
)
from tests.chaos.oracle.letters import check_copies, check_letters, check_redrives
from tests.chaos.oracle.outcomes import check_gateway, check_outcomes
from tests.chaos.oracle.sums import check_money, check_stock

__all__ = ["Case", "Verdict", "Violation", "judge"]

CHECKS: Final = (
    check_kafka,
    check_outcomes,
    check_gateway,
    check_money,
    check_stock,
    check_letters,
    check_copies,
    check_redrives,
    check_order,
    check_bytes,
    check_journal,
    check_strangers,
    check_notices,
    check_rest,
    check_calls,
    check_ends,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """violations: all. counts: what was looked at. delays: by kind of fault."""

    violations: tuple[Violation, ...]
    counts: dict[str, int]
    delays: tuple[Delay, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations

    def by_check(self) -> dict[str, int]:
        """Count violations by check."""
        return dict(sorted(Counter(violation.check for violation in self.violations).items()))


def judge(case: Case) -> Verdict:
    """Check everything."""
    index = Index(case)
    found: list[Violation] = [violation for check in CHECKS for violation in check(index)]
    measured = list(waits(index))
    summed = delays(index, measured)
    found += check_delays(index, measured, summed)
    return Verdict(tuple(found), _counts(index), tuple(summed))


def _counts(index: Index) -> dict[str, Any]:
    case = index.case
    outcomes = Counter(row.status for order_id, row in case.found.orders.items() if order_id in index.orders)
    return {
        "orders": len(index.orders),
        "published": case.published.count,
        **dict(sorted(outcomes.items())),
        "events": len(case.found.facts),
        "distinct_events": len({fact.event_id for fact in case.found.facts}),
        "dead_letters": len(case.found.kept),
        "gateway_calls": len(case.calls),
        "process_ends": len(case.ends),
    }
