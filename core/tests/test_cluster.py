"""The Ray executor on a real cluster of three nodes of this machine, one of which is killed in the middle."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clrepro.errors import UsageError
from clrepro.records import RunRecord
from clrepro.sweep import (
    Executor,
    Folder,
    Job,
    Processes,
    Serial,
    Summary,
    expand,
    load_profile,
    prepare,
    run_sweep,
    sweep_lock,
)
from clrepro.sweep.cluster import Ray
from clrepro.sweep.spec import Share

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own threads and sockets

SHARE = Share(retries=3)
STORE_BYTES = 80 * 2**20  # of a node's shared memory; records are small


@pytest.fixture
def cluster(fake_paper: Any) -> Iterator[Any]:
    """Three nodes with one processor each; workers inherit the fake paper's place."""
    from ray.cluster_utils import Cluster

    sizes = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    nodes = Cluster(initialize_head=True, head_node_args=sizes)
    try:
        for _ in range(2):
            nodes.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        nodes.wait_for_nodes()
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def plan(paper: Any, out: Path, profile: str) -> list[Job]:
    found = load_profile(paper.home, "fake", profile)
    with sweep_lock(out, "fake", profile):
        return expand(found, data_sha256=prepare(found, out, lambda line: None))


def run(jobs: list[Job], executor: Executor) -> tuple[Summary, Counter[str]]:
    """Run `jobs`; returns how often each was reported too."""
    told: Counter[str] = Counter()

    def tell(job: Job, record: RunRecord | None, reason: str) -> None:
        told[job.name] += 1

    try:
        return run_sweep(jobs, executor, tell), told
    finally:
        executor.stop()


def comparable(store: Folder, jobs: list[Job]) -> list[Any]:
    return [record.comparable() for record in store.records(jobs)]


def test_every_job_ends_once_though_a_node_is_killed(cluster: Any, fake_paper: Any, tmp_path: Path) -> None:
    rows = [(f"m{i}", "--pause 0.2") for i in range(8)]
    fake_paper.add_profile("many", rows, seeds="[0, 1, 2]")
    out, straight = tmp_path / "ray", tmp_path / "straight"
    jobs = plan(fake_paper, out, "many")
    executor = Ray(Folder(out), lambda paper: SHARE, cluster.address)
    victim = next(iter(cluster.worker_nodes))

    def kill() -> None:
        while len(list(out.glob("fake/many/records/s/*/seed*.json"))) < 5:
            time.sleep(0.05)
        cluster.remove_node(victim, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    summary, told = run(jobs, executor)
    killer.join()
    assert not summary.failed
    assert not summary.lost
    assert told == Counter(job.name for job in jobs)
    assert len(list(out.glob("fake/many/records/s/*/*"))) == len(jobs)
    plan(fake_paper, straight, "many")
    run(jobs, Processes(Folder(straight), 2))
    assert comparable(Folder(out), jobs) == comparable(Folder(straight), jobs)


def test_a_run_that_kills_its_worker_ends_in_a_failed_record(
    cluster: Any, fake_paper: Any, tmp_path: Path
) -> None:
    rows = [
        ("hopeless", "--fault die"),
        ("unlucky", "--fault die-once"),
        ("wrong", "--fault raise"),
        ("fine", ""),
    ]
    fake_paper.add_profile("deaths", rows)
    jobs = plan(fake_paper, tmp_path, "deaths")
    executor = Ray(Folder(tmp_path), lambda paper: SHARE, cluster.address)
    summary, told = run(jobs, executor)
    assert set(told.values()) == {1}
    assert sorted(job.method for job in summary.done) == ["fine", "unlucky"]
    reasons = {job.method: reason for job, reason in summary.failed}
    assert "its worker was lost 4 times" in reasons["hopeless"]
    assert reasons["wrong"] == "ValueError: two lines"
    assert not summary.lost


def test_shares_on_a_cluster_of_its_own(fake_paper: Any, tmp_path: Path) -> None:
    """No address: Ray is started here, and the environment of a paper's share reaches its runs."""
    for name in ("serial", "ray"):
        jobs = plan(fake_paper, tmp_path / name, "quick")
    run(jobs, Serial(Folder(tmp_path / "serial")))
    share = Share(cpus=0.5, env={"OMP_NUM_THREADS": "3"})
    summary, _ = run(jobs, Ray(Folder(tmp_path / "ray"), lambda paper: share, None))
    assert not summary.failed
    assert not summary.lost
    serial, ours = (Folder(tmp_path / name).records(jobs) for name in ("serial", "ray"))
    assert [record.metrics for record in serial] == [record.metrics for record in ours]
    assert {record.settings["threads"] for record in ours} == {3}


def test_a_cluster_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        Ray(Folder(tmp_path), lambda paper: SHARE, "127.0.0.1:1")
