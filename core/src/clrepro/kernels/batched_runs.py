"""Many runs that learn together: each keeps its own loop, and their steps are done by one call for all.

Every run is a thread of its own.  When all that still run have asked for their next piece of work, one of
them does it for all and each goes on with its own result; so what a run draws, evaluates and writes is what
it would alone, and only the arithmetic between is shared.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

Request = TypeVar("Request")
Reply = TypeVar("Reply")
Result = TypeVar("Result")


class Barrier(Generic[Request, Reply]):
    """The place where runs meet.

    Args: work — called with the requests of all runs that are left, by the run's number; returns their
        replies.  It runs in one of their threads, never in two at a time.
    """

    def __init__(self, n: int, work: Callable[[Mapping[int, Request]], Mapping[int, Reply]]) -> None:
        self._members, self._work = set(range(n)), work
        self._turn = threading.Condition()
        self._requests: dict[int, Request] = {}
        self._replies: dict[int, Reply] = {}
        self._problem: BaseException | None = None

    def ask(self, number: int, request: Request) -> Reply:
        """Hand in the request of run `number`; returns its reply when all have been answered.

        Raises: RuntimeError if the common work failed, with its cause.
        """
        with self._turn:
            self._requests[number] = request
            self._do()
            self._turn.wait_for(lambda: number in self._replies or self._problem is not None)
            if self._problem is not None:
                raise RuntimeError("the runs that learn together failed together") from self._problem
            return self._replies.pop(number)

    def leave(self, number: int) -> None:
        """Run `number` asks no more: it is done, or has failed."""
        with self._turn:
            self._members.discard(number)
            self._do()

    def _do(self) -> None:
        """The work, if nobody is missing; called with the lock held."""
        if not self._requests or set(self._requests) != self._members:
            return
        requests, self._requests = self._requests, {}
        try:
            self._replies.update(self._work(requests))
        except BaseException as problem:
            self._problem = problem
        self._turn.notify_all()


def run_together(
    runs: Sequence[Callable[[], Result]], leave: Callable[[int], None]
) -> list[Result | BaseException]:
    """Do `runs`, a thread each; returns their results, or what they raised, in order.

    Args: leave — told the number of each run when it has ended, however it did.
    """
    results: list[Result | BaseException] = [RuntimeError("not run")] * len(runs)

    def one(number: int) -> None:
        try:
            results[number] = runs[number]()
        except BaseException as problem:
            results[number] = problem
        finally:
            leave(number)

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
