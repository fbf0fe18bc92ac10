"""How many jobs a second the sweep's coordinator carries: no-op jobs, many workers, the real coordinator.

    python core/tools/sweep_load.py --jobs 10000 --workers 1000 --mean-s 1.0
    python core/tools/sweep_load.py --jobs 2000 --ray          # Ray's own figure on this machine

A worker of the simulation is a thread that waits as long as a short run would take, then writes the job's
record where a real one would and answers with what a real one answers.  So one machine does the work of the
coordinator and of the store.  docs/scale.md tells what was measured.
"""

import argparse
import os
import random
import resource
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from clrepro.records import RunRecord
from clrepro.sweep import Executor, Folder, Job, Serial, run_sweep, split
from clrepro.sweep.host import versions
from clrepro.sweep.spec import Share

PAPER = "noop"
ROWS = 100  # a folder of records for each
SERIES = [[0.5] * 20] * 20  # a matrix as most papers' records have one


class Simulated:
    """`n` workers that are threads; each run takes an exponential time of mean `mean_s` and does nothing."""

    def __init__(self, store: Folder, n: int, mean_s: float) -> None:
        self.slots = n
        self._store, self._mean_s = store, mean_s
        self._threads = ThreadPoolExecutor(n)

    def submit(self, job: Job) -> "Future[RunRecord]":
        """Give `job` to a free thread."""
        return self._threads.submit(self._run, job)

    def stop(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _run(self, job: Job) -> RunRecord:
        time.sleep(random.Random(job.seed).expovariate(1 / self._mean_s) if self._mean_s else 0.0)
        record = RunRecord(
            PAPER, "load", job.setting, job.method, job.seed, job.command, {}, job.settings_hash,
            {"ACC": 0.5}, {"R": SERIES}, versions=versions(),
        )  # fmt: skip
        self._store.save(record)
        return replace(record, series={})


def write_noop(folder: Path) -> None:
    """A paper whose program returns at once, as a package in `folder`, for workers of Ray."""
    package = folder / f"{PAPER}_repro"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(
        "from clrepro.records import Outcome\n\n\ndef run_program(argv, *, work_dir):\n"
        '    return Outcome({"ACC": 0.5}, {"R": [[0.5]]})\n'
    )


def jobs_of(n: int) -> list[Job]:
    """`n` jobs in `ROWS` rows."""
    return [Job(PAPER, "load", f"row-{i % ROWS}", "m", i, ["main.py", "--seed", str(i)]) for i in range(n)]


def measure(jobs: list[Job], store: Folder, executor: Executor) -> None:
    """Run `jobs` twice, the second time to see what skipping them costs, and print the figures."""
    start, processor = time.perf_counter(), time.process_time()
    todo = split(jobs, store)[1]
    told: set[str] = set()
    try:
        summary = run_sweep(todo, executor, lambda job, record, reason: told.add(job.name))
    finally:
        executor.stop()
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    assert len(summary.done) == len(told) == len(jobs), (summary.failed[:1], summary.lost[:1])
    files = sum(len(names) for _, _, names in os.walk(store.out / PAPER / "load" / "records"))
    assert files == len(jobs), files
    print(f"{len(jobs)} jobs in {seconds:.1f} s: {len(jobs) / seconds:.0f} jobs/s")
    print(f"processor time of this process: {processor / len(jobs) * 1e3:.2f} ms per job")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    start = time.perf_counter()
    assert split(jobs, store)[1] == []
    print(f"finding them done on a second call: {time.perf_counter() - start:.1f} s")


def coordinator_alone(jobs: list[Job]) -> None:
    """The coordinator's own share: workers that answer at once without touching a file."""

    class Instant(Serial):
        slots = 1000

        def submit(self, job: Job) -> "Future[RunRecord]":
            future: Future[RunRecord] = Future()
            future.set_result(record)
            return future

    job = jobs[0]
    record = RunRecord(
        PAPER, "load", job.setting, job.method, 0, job.command, {}, job.settings_hash, {"ACC": 0.5}
    )
    start = time.perf_counter()
    run_sweep(jobs, Instant(Folder(Path("."))), lambda *_: None)
    print(f"coordinator alone: {len(jobs) / (time.perf_counter() - start):.0f} jobs/s")


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1_000)
    parser.add_argument("--mean-s", type=float, default=1.0, help="mean time of a run; 0: as fast as it goes")
    parser.add_argument("--in", dest="place", help="where the store is made, e.g. /dev/shm: no disk")
    parser.add_argument("--ray", action="store_true", help="a Ray cluster of this machine instead")
    args = parser.parse_args()
    jobs = jobs_of(args.jobs)
    with tempfile.TemporaryDirectory(dir=args.place) as folder:
        store = Folder(Path(folder, "out"))
        if args.ray:
            from clrepro.sweep.cluster import Ray

            write_noop(Path(folder))
            os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
            warm = Ray(store, lambda paper: Share(), None)
            first = [replace(job, profile="warm") for job in jobs[:20]]  # the workers start
            run_sweep(first, warm, lambda *_: None)
            measure(jobs, store, warm)
            return
        coordinator_alone(jobs)
        threading.stack_size(256 * 1024)
        measure(jobs, store, Simulated(store, args.workers, args.mean_s))


if __name__ == "__main__":
    main()
