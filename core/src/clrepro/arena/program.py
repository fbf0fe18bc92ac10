"""One run of the arena as a job of a sweep: a method, a stream, a seed; ends in an `Outcome`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from clrepro.arena import methods
from clrepro.arena.contract import Contestant, told
from clrepro.arena.environments import python_for, run_elsewhere
from clrepro.arena.loop import train
from clrepro.arena.spec import PROTOCOL
from clrepro.arena.streams import ArenaStream, Plan, checksums
from clrepro.errors import DataError
from clrepro.io.checkpoint import RunDir
from clrepro.records import Outcome, canonical_json, parse_json_object
from clrepro.seeding import Seeds


@dataclass(frozen=True)
class Run:
    """What one run is: method — a name or "file.py:Class", options — its own arguments, digest — the sha256
    of a file; budget_s — most seconds of training.
    """

    method: str
    plan: Plan
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    budget_s: float = 3600.0
    protocol: int = PROTOCOL

    def words(self) -> list[str]:
        """Returns the run as the words of a job's command."""
        body = {one.name: getattr(self, one.name) for one in fields(self)}
        body |= {"plan": self.plan.fingerprint(), "options": dict(self.options)}
        return ["arena", canonical_json(body)]

    @classmethod
    def from_words(cls, words: Sequence[str]) -> "Run":
        """Returns the run of a command.  Raises: DataError if it is none, or of another protocol."""
        if len(words) != 2 or words[0] != "arena":
            raise DataError("a run of the arena is two words, `arena` and its description")
        body = parse_json_object(words[1], "run of the arena")
        if body.get("protocol") != PROTOCOL:
            raise DataError(f"protocol {body.get('protocol')}: this version has {PROTOCOL}; run it anew")
        try:
            return cls(**{**body, "plan": Plan(**body["plan"])})
        except (KeyError, TypeError) as problem:
            raise DataError(f"run of the arena: {problem}") from None


def run_program(argv: Sequence[str], *, work_dir: Path) -> Outcome:
    """Train and measure as the words say, in the environment that the method needs.

    Raises: UsageError if there is none; else as `clrepro.arena.loop.train`.
    """
    run = Run.from_words(argv)
    entry = methods.find(run.method)
    if run.digest and methods.digest(Path(entry.source)) != run.digest:
        raise DataError(f"{entry.source}: has changed since the run was planned; start it again")
    python = python_for(entry)
    if python != sys.executable:
        return run_elsewhere(python, list(argv), work_dir)
    stream = ArenaStream(run.plan, run.seed)
    seed = Seeds(run.seed).integer("method")  # not the stream's own numbers again
    contestant = Contestant(entry.kind, stream.spec, seed, run.options, entry.name)
    result = train(contestant, stream, run.budget_s, RunDir(work_dir))
    return Outcome(
        metrics=result.metrics(),
        series={"R": result.matrix},
        settings={
            "protocol": run.protocol, "stream": run.plan.fingerprint(), "options": dict(run.options),
            "told": told(entry.kind),
        },
        data=checksums(run.plan.data),
        cost={"train_s": result.train_s, "eval_s": result.eval_s},
    )  # fmt: skip
