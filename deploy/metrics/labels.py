"""Words that metrics and traces share. Nothing here loads prometheus-client: traces may be on without metrics."""

import re

from domain.outcome import Outcome


def outcome_label(outcome: type[Outcome]) -> str:
    """Return the label of an outcome."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", outcome.__name__).lower()
