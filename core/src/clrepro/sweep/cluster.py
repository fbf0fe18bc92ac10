"""Runs jobs on a Ray cluster: each on a node that has room for its share, again if that node is lost."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any

from clrepro.errors import DataError, UsageError
from clrepro.records import RunRecord
from clrepro.sweep.jobs import Job, failed_record
from clrepro.sweep.outbox import PLACE, NotStarted, Waiting
from clrepro.sweep.spec import Share
from clrepro.sweep.store import Store
from clrepro.threads import ONE_THREAD

CONNECT_S = 10
START_S = 120.0  # for Ray's own processes; a busy machine needs a minute
QUEUED = 2  # jobs given to Ray per job that runs, so that a node that is free need not wait for us
_PASSED_ON = ("CL_REPRO_HOME", "CL_REPRO_DATA", PLACE)


class Ray:
    """Runs jobs on the cluster at `address`, or on a new one of this machine if it is None.

    A worker or node that is lost costs its jobs a retry, at most as many as their share says; after that a
    failed record is written.  An exception of the job's own is its result and is not tried again.
    Raises: UsageError if Ray is not installed, the cluster cannot be reached or does not start in time.
    """

    def __init__(self, store: Store, share_of: Callable[[str], Share], address: str | None) -> None:
        self._ray = _import_ray()
        self._store, self._share_of = store, share_of
        self._lock = threading.Lock()
        self._running: dict[Any, Future[RunRecord]] = {}  # by object reference
        _check_reachable(address)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with _at_most(START_S):
                self._ray.init(
                    address=address,
                    runtime_env={"env_vars": _environment()},
                    log_to_driver=False,
                    include_dashboard=None if address else False,
                    logging_level="ERROR",
                )
        except (Exception, _TooLong) as problem:  # of a node that is slow Ray raises a bare Exception
            self._give_up()
            reason = " ".join(str(problem).split())[:300] or type(problem).__name__
            raise UsageError(f"no Ray cluster at {address or 'this machine'} ({reason})") from None
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():  # Ray replaces them; ours write checkpoints
                    signal.signal(number, handler)
        self._task = self._ray.remote(_carry_out)

    def _give_up(self) -> None:
        """End what a start that failed has left running, as far as Ray can."""
        with contextlib.suppress(Exception, _TooLong), _at_most(CONNECT_S):
            self._ray.shutdown()

    @property
    def slots(self) -> int:
        """How many jobs may be out: `QUEUED` times what the cluster can run at a time just now."""
        cpus = self._ray.cluster_resources().get("CPU", 1.0)
        return max(1, int(cpus * QUEUED))

    def submit(self, job: Job) -> "Future[RunRecord]":
        """Give `job` to the cluster."""
        share = self._share_of(job.paper)
        task = self._task.options(
            name=job.name,
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            memory=int(share.memory_gb * 1e9) or None,
            resources=dict(share.resources) or None,
            max_retries=share.retries,
            retry_exceptions=False,
            runtime_env=_runtime_env(share),
        )
        reference = task.remote(self._store, job.to_json())
        future: Future[RunRecord] = Future()
        with self._lock:
            self._running[reference] = future
        reference.future().add_done_callback(lambda done: self._ended(job, share, reference, done))
        return future

    def stop(self) -> None:
        """Cancel what runs and leave the cluster (end it, if it is ours)."""
        with self._lock:
            references = list(self._running)
        for reference in references:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    def _ended(self, job: Job, share: Share, reference: Any, done: "Future[Any]") -> None:
        """Pass the end of a task on; runs in one of Ray's threads."""
        with self._lock:
            future = self._running.pop(reference)
        try:
            future.set_result(self._result(job, share, done))
        except BaseException as problem:
            future.set_exception(problem)

    def _result(self, job: Job, share: Share, done: "Future[Any]") -> RunRecord:
        errors = self._ray.exceptions
        try:
            text = done.result()
        except errors.RayTaskError as problem:  # of our code on the node: no record could be written
            if isinstance(problem.cause, Waiting | NotStarted):
                raise problem.cause from None
            raise DataError(str(problem.cause or problem).strip().splitlines()[-1]) from None
        except (errors.WorkerCrashedError, errors.NodeDiedError, errors.OutOfMemoryError) as problem:
            reason = str(problem).strip().splitlines()[0]
            record = failed_record(job, f"its worker was lost {1 + share.retries} times ({reason})")
            self._store.save(record)
            return record
        except errors.RayError as problem:
            raise DataError(f"{type(problem).__name__}: {str(problem).strip().splitlines()[0]}") from None
        return RunRecord.from_json(text, job.name)


class _TooLong(BaseException):
    """Time is over.  No Exception: Ray takes those for a reason to try again."""


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Interrupt the block after `seconds`.  Raises: _TooLong.  Outside the main thread there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        raise _TooLong(f"not ready within {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # and each second again, should it be caught
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _carry_out(store: Store, job: str) -> str:
    """What a node does: run the job, answer with its slim record."""
    return store.carry_out(Job.from_json(job)).to_json()


def _environment() -> dict[str, str]:
    """Variables of every worker: one thread each, and the places that are set here."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**ONE_THREAD, **passed_on}


def _runtime_env(share: Share) -> dict[str, Any] | None:
    """Ray's description of the environment that `share` asks for."""
    wanted: dict[str, Any] = {}
    if share.env:
        wanted["env_vars"] = {**_environment(), **share.env}
    if share.python:
        wanted["py_executable"] = share.python
    if share.image:
        wanted["image_uri"] = share.image
    return wanted or None


def _check_reachable(address: str | None) -> None:
    """Ray itself tries a cluster that does not answer for minutes, then prints pages.  Raises: UsageError."""
    host, separator, port = (address or "").removeprefix("ray://").rpartition(":")
    if not separator or not port.isdigit():
        return  # a new cluster, or a name such as "auto" that Ray looks up
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
    except OSError as problem:
        raise UsageError(f"no Ray cluster at {address} ({problem.strerror or problem})") from None


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing of ours calls home
    try:
        import ray
    except ImportError:
        raise UsageError(
            "Ray is not installed; `pip install 'cl-repro[ray]'` into this environment"
        ) from None
    return ray
