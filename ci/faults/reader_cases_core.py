"""The readers of clrepro, each with a valid file."""

import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from clrepro.errors import DataError
from faults.packing import checkpoint, torch_zip
from faults.reader_case import AUTHORED, CHECKSUM, ERRORS, EVIDENCE, Subject, write
from faults.reader_cases_data import data_sets

MEASURED = Path(__file__).resolve().parents[2] / "docs" / "measured"
PROFILE = """
[quick]
seeds = [0, 1]
data_note = "ten numbers"
prepare = [["get_data.py", "numbers", "--out_dir", "{data}"]]
[[quick.row]]
setting = "walk/6"
method = "short"
command = "main.py --model short --data_path {data}/ --seed {seed}"
seconds = 0.1
"""
CLAIMS = """
title = "A paper"
notes = ["one"]
[metrics]
RA = "retained accuracy"
[[value]]
profile = "quick"
setting = "walk/6"
method = ["short", "long"]
metric = "RA"
status = "not-found"
source = "nowhere"
[[ordering]]
profile = "quick"
claim = "short is better"
setting = "walk/6"
metric = "RA"
better = "short"
worse = "long"
slack_pct = 1.0
"""


def subjects() -> Iterator[Subject]:
    """Yields every reader of the core."""
    yield from _sweep_files()
    yield from _plans_and_measurements()
    yield from _checkpoints()
    yield from _pickles()
    yield from data_sets()


def record() -> Any:
    """A run record."""
    from clrepro.records import RunRecord

    return RunRecord(
        paper="mer", profile="quick", setting="walk/6", method="short", seed=3,
        command=["main.py", "--seed", "3"], settings={"lr": 0.1, "model": "short"}, settings_hash="ab" * 32,
        metrics={"RA": 0.75, "LA": float("nan")}, series={"R": [[0.5, float("nan")], [0.25, 0.75]]},
        data={"file": "x", "sha256": "00"},
        versions={"python": "3.11"}, cost={"wall_s": 1.25},
    )  # fmt: skip


def _sweep_files() -> Iterator[Subject]:
    from clrepro.check import read_baseline, write_baseline
    from clrepro.claims import load_claims
    from clrepro.io.checkpoint import RunDir
    from clrepro.records import PACKED, load_many, read_packed, read_record
    from clrepro.sweep import Job, load_profiles

    def made_record(folder: Path) -> Path:
        return write(folder / "records" / "seed3.json", record().to_json())

    def made_packed(folder: Path) -> Path:
        return write(folder / PACKED, record().to_line() + "\n")

    def packed(path: Path) -> Any:
        records, problems = read_packed(path)
        if problems:
            raise DataError(problems[0])
        return records

    def made_baseline(folder: Path) -> Path:
        write_baseline(folder / "mer.json", "mer", "quick", [record()])
        return folder / "mer.json"

    def made_job(folder: Path) -> Path:
        return write(
            folder / "job.json", Job("mer", "quick", "walk/6", "short", 3, ["main.py"], "ab", 1.5).to_json()
        )

    def report(path: Path) -> Any:
        """What `cl-repro report` does with records."""
        from clrepro.report.tables import results_table

        records, problems = load_many(path.parent.parent)
        from clrepro.claims import Claims

        if problems:
            raise DataError(problems[0])
        table = results_table(
            "mer", "quick", records, Claims("t", {name: name for r in records for name in r.metrics})
        )
        return (table.markdown() + table.csv()).encode()

    def home(folder: Path) -> Path:
        return write(folder / "papers" / "mer" / "profiles.toml", PROFILE)

    def done(path: Path) -> Any:
        return RunDir(path.parent).done()

    def made_done(folder: Path) -> Path:
        RunDir(folder).mark_done({"RA": 0.5, "note": "x"})
        return folder / "done.json"

    yield Subject("records", made_record, read_record, CHECKSUM, ERRORS, None, unsealed)
    yield Subject("records in a report", made_record, report, CHECKSUM, ERRORS, None, unsealed)
    yield Subject("packed records", made_packed, packed, CHECKSUM, ERRORS, None, unsealed)
    yield Subject("baselines", made_baseline, lambda path: read_baseline(path, "mer"), CHECKSUM, ERRORS,
                  None, unsealed)  # fmt: skip
    yield Subject("jobs", made_job, lambda path: Job.from_json(_text(path)), EVIDENCE, ERRORS)
    yield Subject("profiles", home, lambda path: load_profiles(path.parents[2], "mer"), AUTHORED, ERRORS)
    yield Subject(
        "claims", lambda folder: write(folder / "claims.toml", CLAIMS), load_claims, AUTHORED, ERRORS
    )
    yield Subject("done markers", made_done, done, AUTHORED, ERRORS)


def unsealed(data: bytes) -> bytes:
    """A JSON file without its checksum."""
    body = json.loads(data)
    del body["sha256"]
    return json.dumps(body).encode()


def _text(path: Path) -> str:
    """A job arrives as text that somebody has decoded."""
    return path.read_bytes().decode("utf-8", errors="replace")


SWEEP = """
name = "rates"
seeds = [0, 1]
[[row]]
paper = "mer"
setting = "walk/{steps}"
method = "m"
command = "main.py --steps {steps} --seed {seed}"
grid = { steps = [2, 4] }
[share]
cpus = 2
[share.mer]
env = { A = "1" }
[slurm]
lines = ["--partition=short"]
tasks = 3
"""


def _plans_and_measurements() -> Iterator[Subject]:
    """Sweep files, and what the pages on speed and faults are made of."""
    from clrepro.report.bench_results import read_bench, read_faults
    from clrepro.sweep import load_spec

    def made_spec(folder: Path) -> Path:
        (folder / "papers" / "mer" / "src").mkdir(parents=True)
        return write(folder / "sweep.toml", SWEEP)

    def made(name: str) -> Callable[[Path], Path]:
        """A file as it is committed, with one row of each kind: every value in it is replaced in turn."""
        body = json.loads((MEASURED / name).read_text(encoding="utf-8"))
        short = {key: value[:1] if isinstance(value, list) else value for key, value in body.items()}
        return lambda folder: write(folder / name, json.dumps(short))

    yield Subject("sweep files", made_spec, lambda path: load_spec(path, path.parent).parts, AUTHORED, ERRORS)
    yield Subject("speed measurements", made("bench.json"), read_bench, AUTHORED, ERRORS)
    yield Subject("fault measurements", made("faults.json"), read_faults, AUTHORED, ERRORS)


def _checkpoints() -> Iterator[Subject]:
    from clrepro.io.checkpoint import decode_state, encode_state

    state = {"x": np.arange(40.0), "n": np.int64(3), "deep": {"list": [1, 2.5, "a", None, np.eye(3)]}}

    def made(folder: Path) -> Path:
        return write(folder / "task.state", encode_state(state))

    def read(path: Path) -> Any:
        return decode_state(path.read_bytes(), str(path))

    def body(data: bytes) -> bytes:
        return data[data.index(b"\n") + 1 :]

    yield Subject("checkpoints", made, read, CHECKSUM, ERRORS, None, body, checkpoint)


def _pickles() -> Iterator[Subject]:
    from clrepro.io import safe_pickle

    content = {
        "a": [1, 2.5, "b", None, (1, 2)],
        "x": np.arange(12, dtype=np.float32).reshape(3, 4),
        "s": {1, 2},
    }

    def made(folder: Path) -> Path:
        return write(folder / "x.pkl", pickle.dumps(content, 4))

    def made_old(folder: Path) -> Path:
        return write(folder / "x.pkl", pickle.dumps(content, 0))

    def made_torch(folder: Path) -> Path:
        try:
            import torch
        except ModuleNotFoundError:
            return made(folder)
        return write(folder / "x.pkl", pickle.dumps({"w": torch.arange(6.0), "l": [torch.eye(2)]}, 2))

    def storage(folder: Path, payload: bytes) -> Path:
        """A pickle that hands its payload to the reader of torch storages."""
        call = b"\x80\x04\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93B"
        return write(folder / "x.pkl", call + len(payload).to_bytes(4, "little") + payload + b"\x85R.")

    yield Subject("pickles", made, safe_pickle.load, EVIDENCE, ERRORS, storage)
    yield Subject("pickles of protocol 0", made_old, safe_pickle.load, EVIDENCE, ERRORS)
    yield Subject("pickled tensors", made_torch, safe_pickle.load, EVIDENCE, ERRORS,
                  lambda folder, payload: storage(folder, torch_zip(payload)))  # fmt: skip
