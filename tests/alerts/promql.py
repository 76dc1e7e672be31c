"""What a PromQL expression reads: metrics, the labels that it chooses by, and those that it keeps."""

import re
from typing import Final, NamedTuple

from deploy.metrics.metric import Kind
from deploy.metrics.table import BY_NAME

OF_PROMETHEUS: Final = {"instance", "job", "metric", "le"}
"""Labels that Prometheus, a rule or a histogram adds."""
_SELECTOR: Final = re.compile(r"\b(payments_\w+)(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_BY: Final = re.compile(r"\bby \(([^)]*)\)")


class Matcher(NamedTuple):
    """One choice of a selector."""

    metric: str
    label: str
    values: tuple[str, ...]


def metrics(expression: str) -> set[str]:
    """Return the names that an expression reads, as the table of metrics has them; strings are not looked at."""
    bare = re.sub(r', "[^"]*"', "", expression)
    return {_declared(found[1]) for found in _SELECTOR.finditer(bare)}


def matchers(expression: str) -> list[Matcher]:
    """Return every choice of every selector."""
    found = []
    for selector in _SELECTOR.finditer(expression):
        for label, _, text in _MATCHER.findall(selector[2] or ""):
            found.append(Matcher(_declared(selector[1]), label, tuple(text.split("|"))))
    return found


def kept(expression: str) -> set[str]:
    """Return the labels of every `by`."""
    return {label.strip() for by in _BY.findall(expression) for label in by.split(",")}


def _declared(name: str) -> str:
    for suffix in ("_bucket", "_count", "_sum"):
        base = name.removesuffix(suffix)
        if base != name and base in BY_NAME and BY_NAME[base].kind is Kind.HISTOGRAM:
            return base
    return name
