"""The oracle: holds what was asked for against what there is. It shares no code with the product or its audit."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from tests.minds.oracle.cancels import check_cancels
from tests.minds.oracle.case import Case, Index, Violation
from tests.minds.oracle.flow import (
    check_audit,
    check_copies,
    check_letters,
    check_processes,
    check_rest,
    check_reviews,
    check_strangers,
)
from tests.minds.oracle.refunds import check_refunds
from tests.minds.oracle.sums import check_holds, check_money, check_outcomes, check_stock

__all__ = ["Case", "Verdict", "Violation", "judge"]

CHECKS: Final = (
    check_processes,
    check_strangers,
    check_rest,
    check_reviews,
    check_cancels,
    check_refunds,
    check_money,
    check_stock,
    check_holds,
    check_outcomes,
    check_letters,
    check_copies,
    check_audit,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """violations: all. counts: what was looked at."""

    violations: tuple[Violation, ...]
    counts: dict[str, int]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations


def judge(case: Case) -> Verdict:
    """Check everything."""
    index = Index(case)
    return Verdict(tuple(violation for check in CHECKS for violation in check(index)), _counts(index))


def _counts(index: Index) -> dict[str, int]:
    found: Counter[str] = Counter()
    for order_id in index.case.orders:
        found[index.row(order_id).status] += 1
        for event in index.of(order_id, "CancellationRefused", "RefundRefused"):
            found[f"{event.type} {event.fields['reason']}"] += 1
        asked = [e for e in index.of(order_id, "PaymentRefunded") if e.fields["request_id"] is not None]
        found["refunded on request"] += len(asked)
        found["restocked"] += len(index.of(order_id, "ItemsRestocked"))
        found["refunds failed later"] += len(index.of(order_id, "PaymentRefundFailed"))
    found["orders"] = len(index.case.orders)
    found["cancels"] = len(index.cancels)
    found["refund requests"] = len(index.refunds)
    found["refund messages"] = sum(1 for _ in index.sent("RefundRequested"))
    found["dead letters"] = len(index.case.found.kept)
    return {name: count for name, count in sorted(found.items()) if count}
