"""W3C's trace context: read as the standard says, whatever is sent, and as OpenTelemetry reads it."""

from string import hexdigits

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from domain.tracing import STATE_MAX, headers_of_trace, is_sampled, passed_on, read_headers, read_trace, write_trace

TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
GOOD = f"00-{TRACE:032x}-{SPAN:016x}-01"
numbers = st.text(hexdigits.lower()[:16], min_size=1, max_size=33)
parents = st.one_of(
    st.text(max_size=80),
    st.builds("-".join, st.lists(numbers, max_size=6)),
    st.builds(
        "{}-{:032x}-{:016x}-{:02x}{}".format,
        st.sampled_from(["00", "01", "cc", "fe", "ff", "0", "000"]),
        st.integers(0, 2**128 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 255),
        st.sampled_from(["", "-", "-what", "x"]),
    ),
)


@given(parents)
@example(GOOD)
@example(GOOD + "\n")
@example("cc" + GOOD[2:] + "-what-the-future-will-be-like")
def test_traceparent_is_read_as_opentelemetry_reads_it(value: str) -> None:
    found = read_headers([("traceparent", value.encode())])
    theirs = TraceContextTextMapPropagator().extract({"traceparent": value.strip(" \t\r\n")}, Context())
    expected = trace.get_current_span(theirs).get_span_context()
    if found is None:
        # Stricter than it: no blanks around it, and of versions to come only what the standard foresees.
        assert not expected.is_valid or value.strip() != value or value[:2] != "00"
    else:
        assert (found.trace_id, found.span_id) == (expected.trace_id, expected.span_id)
        assert found.sampled is expected.trace_flags.sampled


@given(
    st.lists(st.tuples(st.sampled_from(["traceparent", "tracestate", "other"]), st.none() | st.binary(max_size=600)))
)
def test_no_headers_whatsoever_raise_and_what_is_kept_is_bounded(headers: list[tuple[str, bytes | None]]) -> None:
    kept = passed_on(headers)
    assert kept is None or len(kept) <= len(GOOD) + 1 + STATE_MAX


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        (b"vendor=value", "vendor=value"),
        (b" a=1 , b@c=2 ", "a=1 , b@c=2"),
        (b"a=1,a=2", ""),
        (b"a=1,", ""),
        (b"A=1", ""),
        (b"a=1=2", ""),
        (b"a=\xc3\xa9", ""),
        (b"a=" + b"x" * STATE_MAX, ""),
        (b",".join(b"k%d=1" % n for n in range(33)), ""),
        (b"shop=4242 4242 4242 4242", ""),
        (b"", ""),
    ],
)
def test_tracestate_is_passed_on_whole_or_not_at_all(state: bytes, kept: str) -> None:
    found = read_headers([("tracestate", state), ("traceparent", GOOD.encode())])
    assert found is not None
    assert (found.trace_id, found.span_id, found.state) == (TRACE, SPAN, kept)


def test_two_tracestates_or_two_traceparents_are_none() -> None:
    parent, state = ("traceparent", GOOD.encode()), ("tracestate", b"a=1")
    assert read_headers([parent, parent]) is None
    found = read_headers([parent, state, state])
    assert found is not None
    assert found.state == ""


@given(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 3),
    st.sampled_from(["", "a=1", "a=1 2,b=3"]),
)
def test_what_is_kept_is_read_and_sent_again_as_it_was(trace_id: int, span_id: int, flags: int, state: str) -> None:
    kept = write_trace(trace_id, span_id, flags, state)
    assert read_trace(kept) == (trace_id, span_id, flags, state)
    assert passed_on(headers_of_trace(kept)) == kept
    assert is_sampled(kept) is bool(flags & 1)
    assert not is_sampled(None)
