"""Two processes that share a long list of small files.

Threads would wait for each other: for small files two of them are slower than one. A process forked
from this one has all it needs in its memory, is ready in a millisecond, and ends with its socket.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Generic, TypeVar

from ciml.core.errors import CimlError, ServiceError

if TYPE_CHECKING:
    from io import BufferedRWPair

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

BATCH = 256
"""Items that are handed out at a time."""

_ALONE = 4
"""Batches that are done before a second process is worth its start."""

_MOST = 3
"""Batches that the second process is given while the first one does one, and all that is done with results."""


class Pair(Generic[_Item, _Result]):
    """Works on batches, in this process and, where there are many, in a second one.

    Args:
        work: what to do with a batch. An error that it raises is raised by `run`, wherever it ran.
        forked: called once in the second process before it works.
        finished: called once in the second process when it has done all; an error is raised as one of `work`.
    """

    def __init__(
        self,
        work: Callable[[Sequence[_Item]], Sequence[_Result]],
        forked: Callable[[], None] = lambda: None,
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._forked = forked
        self._finished = finished
        self._pid = 0
        self._pipe: BufferedRWPair | None = None
        self._socket = -1
        self._share = 1
        """Batches for the second process."""

    def run(self, batches: Iterator[Sequence[_Item]]) -> Iterator[_Result]:
        """The results, in the order of the batches."""
        theirs: Sequence[_Result] = ()
        for number, batch in enumerate(batches):
            beside: list[_Item] = []
            if number >= _ALONE and len(os.sched_getaffinity(0)) > 1:
                beside = [item for some in islice(batches, self._share) for item in some]
            if beside:
                self._send(beside)
            yield from theirs  # what the caller does with them, it does while the second process works
            yield from self._work(batch)
            theirs = self._receive() if beside else ()
        yield from theirs
        if self._pipe is not None:
            self._send(())
            self._receive()

    def close(self) -> None:
        """End the second process."""
        if self._pipe is not None:
            try:
                self._pipe.close()
            except OSError:
                pass  # what was still to be sent has nobody to go to
            self._pipe = None
            os.waitpid(self._pid, 0)

    def _send(self, batch: Sequence[_Item]) -> None:
        import pickle

        if self._pipe is None:
            self._pipe = self._fork()
        try:
            pickle.dump(batch, self._pipe, protocol=pickle.HIGHEST_PROTOCOL)
            self._pipe.flush()
        except BrokenPipeError as error:
            raise _lost() from error

    def _receive(self) -> Sequence[_Result]:
        import pickle

        assert self._pipe is not None, "something was sent before"
        self._share = min(self._share + 1, _MOST) if self._is_waiting() else max(self._share - 1, 1)
        try:
            answer: Sequence[_Result] | BaseException = pickle.load(self._pipe)
        except (EOFError, ConnectionError) as error:
            raise _lost() from error
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _is_waiting(self) -> bool:
        """Whether the second process has done what it was given."""
        import select

        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _fork(self) -> BufferedRWPair:
        import socket

        ours, theirs = socket.socketpair()
        self._pid = os.fork()
        if not self._pid:
            try:
                ours.close()
                self._forked()
                self._serve(theirs.makefile("rwb"))
            finally:
                os._exit(0)  # nothing of the first process is tidied up here: it all belongs to it
        theirs.close()
        self._socket = ours.fileno()
        with ours:
            return ours.makefile("rwb")

    def _serve(self, pipe: BufferedRWPair) -> None:
        import pickle

        while True:
            try:
                batch: Sequence[_Item] = pickle.load(pipe)
            except EOFError:
                return
            try:
                answer: Sequence[_Result] | Exception = self._work(batch) if batch else self._end()
            except (CimlError, OSError) as error:
                answer = error
            pickle.dump(answer, pipe, protocol=pickle.HIGHEST_PROTOCOL)
            pipe.flush()

    def _end(self) -> Sequence[_Result]:
        self._finished()
        return ()


def _lost() -> ServiceError:
    return ServiceError("a process that read files was ended from outside", hint="Run the same command again.")
