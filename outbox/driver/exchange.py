"""Statements that go to PostgreSQL in one write, and their answers in one read.

Psycopg's own pipeline converts, looks up and writes each statement by itself: 65 us of CPU each, this 10 (measured, see
tests/bench/README). With few orders that is what a transaction costs most. Here psycopg adapts the values, waits and
makes the errors; the statements go straight to its wrapper of libpq (`psycopg.pq`), in libpq's pipeline mode.
"""

from collections.abc import Generator, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, LiteralString, NamedTuple

import psycopg
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.waiting import Ready, Wait

from outbox.driver.batches import Row
from outbox.driver.session import Key, Session

Query = LiteralString | str

_BEGIN: Final = b"BEGIN"
_COMMIT: Final = b"COMMIT"
"""Also what the server says of one that it did."""
_LOST: Final = "the connection to PostgreSQL is lost"
_FAILED: Final = pq.ExecStatus.FATAL_ERROR
_ABORTED: Final = pq.ExecStatus.PIPELINE_ABORTED
_SYNC: Final = pq.ExecStatus.PIPELINE_SYNC
_ROWS: Final = pq.ExecStatus.TUPLES_OK
_COPIES: Final = frozenset({pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH})


class Asked:
    """A statement that was added. rows: its answer, once it was sent; none if it returns no rows."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: list[Row] = []


class _Statement(NamedTuple):
    """A statement with its values, ready to be sent."""

    text: bytes
    types: tuple[int, ...]
    values: Sequence[Any]
    formats: Sequence[pq.Format]
    asked: Asked


class _Sent(NamedTuple):
    """What was sent, each with one result. prepares: the name under which it is prepared; asked: who has its rows."""

    prepares: tuple[Key, bytes] | None = None
    asked: Asked | None = None


class Exchange:
    """Collects statements for one session, and sends them when an answer is needed.

    Who sends while another exchange of the session is under way waits for its turn. A transaction is begun with the
    first statement, unless the session is in autocommit. What is answered in binary form is loaded as psycopg loads it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._adapter = Transformer(session)
        self._waiting: list[_Statement] = []

    def __bool__(self) -> bool:
        """Whether statements wait to be sent."""
        return bool(self._waiting)

    def add(self, query: Query, parameters: Sequence[Any] = ()) -> Asked:
        """Add a statement. %s stands for a parameter, %% for a per cent sign.

        Raises psycopg.DataError for a value that cannot be written.
        """
        text, count = _translated(query)
        if len(parameters) != count:
            raise psycopg.ProgrammingError(f"the statement has {count} parameters, but {len(parameters)} are given")
        asked = Asked()
        if count:
            adapter = self._adapter
            values = adapter.dump_sequence(parameters, _auto(count))
            self._waiting.append(_Statement(text, adapter.types or (), values, adapter.formats or (), asked))
        else:
            self._waiting.append(_Statement(text, (), (), (), asked))
        return asked

    async def send(self, *, commit: bool = False) -> None:
        """Send what was added, with a commit behind it if asked, and wait for all answers.

        Raises what the first failed statement says; none behind it was run. A transaction is then to be rolled back.
        """
        if not self._waiting and not commit:
            return
        waiting, self._waiting = self._waiting, []
        pgconn = self._session.pgconn
        results: list[pq.abc.PGresult] = []
        # Who else is at work on the connection, if only to end its waiting for notifications, is waited for.
        async with self._session.lock:
            try:
                pgconn.enter_pipeline_mode()
                sent = list(self._write(pgconn, waiting, commit=commit))
                pgconn.pipeline_sync()
                await self._session.wait(_collect(pgconn, results))
            except psycopg.OperationalError as error:
                # The server may have said why before it closed the connection.
                _hear_out(pgconn, results)
                self._raise_first(results, error)
                raise
            finally:
                _leave(pgconn)
        self._read(sent, results)
        if commit and results[-1].command_status != _COMMIT:
            # COMMIT rolls back a transaction in which a statement has failed, and the server calls that no error.
            raise errors.InFailedSqlTransaction("rolled back in place of a commit: an error before it was swallowed")

    def _write(self, pgconn: pq.abc.PGconn, waiting: Sequence[_Statement], *, commit: bool) -> Iterator[_Sent]:
        """Put the statements into libpq's buffer; yield what each answer will be about."""
        session, binary = self._session, pq.Format.BINARY
        preparing: dict[Key, bytes] = {}
        if not session.autocommit and pgconn.transaction_status == pq.TransactionStatus.IDLE:
            pgconn.send_query_params(_BEGIN, None)
            yield _Sent()
        for statement in waiting:
            text, types, values, formats, asked = statement
            key = (text, types)
            name = session.prepared.get(key) or preparing.get(key)
            if name is None and session.may_prepare(len(preparing)):
                name = preparing[key] = session.new_name(key)
                pgconn.send_prepare(name, text, types)
                yield _Sent(prepares=(key, name))
            if name is None:
                pgconn.send_query_params(text, values, types, formats, binary)
            else:
                pgconn.send_query_prepared(name, values, formats, binary)
            yield _Sent(asked=asked)
        if commit:
            pgconn.send_query_params(_COMMIT, None)
            yield _Sent()

    def _read(self, sent: Sequence[_Sent], results: Sequence[pq.abc.PGresult]) -> None:
        """Note what was prepared, and hand out the rows. Raises the first error."""
        adapter = self._adapter
        for (prepares, asked), result in zip(sent, results, strict=False):
            status = result.status
            if status in {_FAILED, _ABORTED}:
                break
            if prepares is not None:
                self._session.prepared[prepares[0]] = prepares[1]
            elif asked is not None and status == _ROWS:
                adapter.set_pgresult(result)
                asked.rows = adapter.load_rows(0, result.ntuples, tuple)
        self._raise_first(results, None)
        if len(results) != len(sent):
            self._session.pgconn.finish()
            raise psycopg.OperationalError(f"{len(results)} answers came to {len(sent)} statements")

    def _raise_first(self, results: Sequence[pq.abc.PGresult], cause: Exception | None) -> None:
        """Raise the first error among these results, if there is one."""
        for result in results:
            if result.status == _FAILED:
                raise _error_of(result, self._session) from cause
            if result.status == _ABORTED:
                raise errors.PipelineAborted("a statement before it failed, and nobody was told") from cause


def _collect(pgconn: pq.abc.PGconn, results: list[pq.abc.PGresult]) -> Generator[Wait, Ready | int, None]:
    """Write what is in libpq's buffer, and collect one result for each statement, up to the mark behind them.

    Psycopg sends in what the socket is ready for. When a wait is cancelled, it begins to wait anew, and sends None.
    """
    while pgconn.flush():
        # What the server answers meanwhile must be read: with both buffers full neither would go on.
        if (ready := (yield Wait.RW)) and ready & Ready.R:
            _consume(pgconn)
    missing = False
    while True:
        while pgconn.is_busy():
            if (ready := (yield Wait.R)) and ready & Ready.R:
                _consume(pgconn)
        result = pgconn.get_result()
        if result is None:
            # Between two statements there is one. Two in a row: libpq has nothing more, and the mark never comes.
            if missing or pgconn.status == pq.ConnStatus.BAD:
                raise psycopg.OperationalError(_LOST)
            missing = True
        elif result.status == _SYNC:
            return
        elif result.status in _COPIES:
            # libpq would say so again and again.
            raise psycopg.NotSupportedError("COPY cannot be sent together with statements")
        else:
            missing = False
            results.append(result)


def _consume(pgconn: pq.abc.PGconn) -> None:
    """Read what has come. Notifications go where psycopg keeps them, or a LISTEN would wait for those that are here."""
    pgconn.consume_input()
    while (notification := pgconn.notifies()) is not None:
        if pgconn.notify_handler is not None:
            pgconn.notify_handler(notification)


def _hear_out(pgconn: pq.abc.PGconn, results: list[pq.abc.PGresult]) -> None:
    """Collect what came before the connection broke. libpq may have read it without looking at it yet."""
    missing = False
    while pgconn.status == pq.ConnStatus.BAD and not pgconn.is_busy():
        result = pgconn.get_result()
        if result is not None:
            results.append(result)
        elif missing:
            return
        missing = result is None


def _leave(pgconn: pq.abc.PGconn) -> None:
    """Leave the pipeline mode. If something is left in it, nobody can use the connection any more: close it."""
    if pgconn.status == pq.ConnStatus.BAD:
        return
    try:
        pgconn.exit_pipeline_mode()
    except psycopg.OperationalError:
        pgconn.finish()


def _error_of(result: pq.abc.PGresult, session: Session) -> psycopg.Error:
    """Return the error. One without a SQLSTATE is libpq's own: the connection broke."""
    if result.error_field(pq.DiagnosticField.SQLSTATE) is None:
        return psycopg.OperationalError(result.get_error_message() or _LOST)
    return errors.error_from_result(result, encoding=session.info.encoding)


@lru_cache(maxsize=64)
def _auto(count: int) -> Sequence[PyFormat]:
    return [PyFormat.AUTO] * count


@lru_cache(maxsize=1_024)
def _translated(query: Query) -> tuple[bytes, int]:
    """Return a statement as PostgreSQL reads it, with $1 for the first %s, and the number of its parameters."""
    parts = query.split("%%")
    pieces: list[str] = []
    count = 0
    for part in parts:
        first, *others = part.split("%s")
        if "%" in part.replace("%s", ""):
            raise psycopg.ProgrammingError(f"only %s stands for a parameter here: {part.strip()[:60]}")
        numbered = [f"${count + number}{other}" for number, other in enumerate(others, 1)]
        count += len(others)
        pieces.append(first + "".join(numbered))
    return "%".join(pieces).encode(), count
