"""Who runs the jobs: this process, or a few worker processes.  An executor offers `submit(job)` and `stop()`.

`submit` returns a future of the record; nothing else of the suite knows which executor it is, so
another one (a cluster) is one more class with these two methods.
"""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Protocol

from clrepro.records import RunRecord
from clrepro.sweep.host import die_with_parent
from clrepro.sweep.jobs import Job, failed_record
from clrepro.sweep.store import Store
from clrepro.threads import ONE_THREAD

MAX_RETRIES = 2
GRACE_S = 5.0  # for a run that is stopped to put away what it holds


_working = threading.Event()  # in a worker: whether it has a run


class Executor(Protocol):
    """What the sweep needs of an executor; `slots` is how many jobs it takes at a time."""

    @property
    def slots(self) -> int:
        """Asked before each job is given out: a cluster may grow."""

    def submit(self, job: Job) -> "Future[RunRecord]":
        """Start `job` as soon as there is room.  The future ends with what `Store.carry_out` returns."""

    def stop(self) -> None:
        """End what runs, now: futures not done are cancelled or fail.  Harmless when all is done."""


class Serial:
    """Runs each job at once in this process; for debugging, and for machines without room for a worker."""

    slots = 1

    def __init__(self, store: Store) -> None:
        self._store = store

    def submit(self, job: Job) -> "Future[RunRecord]":
        """Run `job` now.  Returns a finished future."""
        future: Future[RunRecord] = Future()
        try:
            future.set_result(self._store.carry_out(job))
        except Exception as problem:
            future.set_exception(problem)
        return future

    def stop(self) -> None:
        """Nothing to end: no job outlives `submit`."""


class Processes:
    """Runs jobs in `n` persistent workers of one thread each, made afresh (spawned, not forked).

    Each worker is a pool of one, so its death (memory, a crash in native code) touches no other job.  It is
    then replaced and its job retried from its last checkpoint, at most `MAX_RETRIES` times; after that a
    failed record is written.  Workers die with this process, whatever ends it.
    """

    def __init__(self, store: Store, n: int) -> None:
        self.slots = n
        self._store = store
        self._local = threading.local()
        self._starting = threading.Lock()  # held while a worker is made, so that `stop` misses none
        self._workers: list[BaseProcess] = []
        self._stopped = False
        self._environment = {name: os.environ.get(name) for name in ONE_THREAD}
        os.environ.update(ONE_THREAD)  # numpy reads it when a worker imports it; too late for this process
        self._threads = ThreadPoolExecutor(n, thread_name_prefix="sweep")

    def submit(self, job: Job) -> "Future[RunRecord]":
        """Queue `job` for the next free worker."""
        return self._threads.submit(self._run, job)

    def stop(self) -> None:
        """End the workers and wait until they are gone; give the environment back its thread counts.

        A run in progress is interrupted, so that it can free what outlives a process (shared memory); after
        `GRACE_S` seconds its worker is killed.
        """
        with self._starting:
            self._stopped = True
            for worker in self._workers:
                worker.terminate()
            give_up = time.monotonic() + GRACE_S
            for worker in self._workers:
                worker.join(max(0.0, give_up - time.monotonic()))
                worker.kill()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for worker in self._workers:
            worker.join()
        for name, value in self._environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value

    def _run(self, job: Job) -> RunRecord:
        """Run `job` in this thread's worker, in new ones if that dies."""
        for _ in range(1 + MAX_RETRIES):
            with self._starting:
                if self._stopped:
                    raise RuntimeError("the sweep was stopped")
                future = self._submit_to_worker(job)
            try:
                return future.result()
            except BrokenProcessPool:
                self._local.pool.shutdown()
                self._local.pool = None
                if self._stopped:
                    raise
        reason = f"the worker process died {1 + MAX_RETRIES} times (out of memory? see dmesg)"
        record = failed_record(job, reason)
        self._store.save(record)
        return record

    def _submit_to_worker(self, job: Job) -> "Future[RunRecord]":
        if getattr(self._local, "pool", None) is None:
            # A blocked signal stays blocked in the child: Ctrl-C is for us, we then end the workers.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            context = multiprocessing.get_context("spawn")
            self._local.pool = ProcessPoolExecutor(
                1, mp_context=context, initializer=_start_worker, initargs=(os.getpid(),)
            )
        before = set(multiprocessing.active_children())
        try:
            future: Future[RunRecord] = self._local.pool.submit(_carry_out, self._store, job)
        except BrokenProcessPool as problem:  # it died while idle
            future = Future()
            future.set_exception(problem)
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        self._workers += set(multiprocessing.active_children()) - before
        return future


def _start_worker(parent: int) -> None:
    """Make this worker die with `parent`, even by SIGKILL, and stop a run in good order on SIGTERM."""
    die_with_parent()
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _carry_out(store: Store, job: Job) -> RunRecord:
    """What a worker does with a job; it ends here if it is told to stop."""
    try:
        _working.set()
        return store.carry_out(job)
    except KeyboardInterrupt:  # from `_interrupt`: by now the run has put everything away
        os._exit(1)
    finally:
        _working.clear()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """End this worker: an idle one at once, one with a run by way of the run's own `finally` blocks."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing shall interrupt those
    if not _working.is_set():
        os._exit(1)
    raise KeyboardInterrupt


def _watch(parent: int) -> None:
    """End this process when its parent is gone: for other systems, or if it died before `die_with_parent`."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
