"""Whether a class keeps the rules of the arena: each rule tried on a small stream, in a few seconds."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.arena.contract import Contestant, RuleBroken, check_class
from clrepro.arena.loop import train
from clrepro.arena.streams import ArenaStream, Plan, plan
from clrepro.errors import DataError
from clrepro.io.checkpoint import decode_state, encode_state

SMALL = {"n_tasks": 2, "examples": 60, "tests": 40, "memory": 20}
SEED = 7


def small_plan(kind: str = "permutations") -> Plan:
    """Returns the stream that rules are tried on: embedded digits, two or (classes dealt out) five tasks."""
    made = plan(f"digits-{kind}", "quick", **SMALL)
    return replace(made, n_tasks=5, first=2) if kind.startswith("split") else made


@dataclass(frozen=True)
class Rule:
    """A rule by name, and what tries it: raises if it is broken, returns a remark or ""."""

    name: str
    check: Callable[[Any], str]


def broken(kind: Any) -> list[tuple[str, str]]:
    """Returns (rule, what was found) for every rule that a class breaks, those among them that could not be
    tried because it fails.
    """
    found = []
    for rule in RULES:
        try:
            rule.check(kind)
        except Exception as problem:
            found.append((rule.name, f"{type(problem).__name__}: {' '.join(str(problem).split())}"))
    return found


def runs(kind: Any) -> str:
    """It learns and answers on a permuted and on a split stream: shapes, dtypes, no NaN."""
    for each in ("permutations", "split-task"):
        stream = ArenaStream(small_plan(each), SEED)
        train(Contestant(kind, stream.spec, SEED), stream)
    return ""


def leaves_inputs(kind: Any) -> str:
    """`observe` and `predict` do not change the arrays that they are given."""
    stream = ArenaStream(small_plan(), SEED)
    one = Contestant(kind, stream.spec, SEED)
    for x, y in stream.batches(0):
        before = x.copy(), y.copy()
        one.observe(x, y, 0)
        _unchanged("observe", before, (x, y))
        one.predict(x, 0)
        _unchanged("predict", before, (x, y))
    return ""


def is_deterministic(kind: Any) -> str:
    """The same seed gives the same answers, also after another instance was at work."""
    answers = [_answers(kind, SEED) for _ in range(2)]
    if not _same(*answers):
        raise RuleBroken("two runs of one seed answer differently; draw from generators made of `seed` alone")
    return ""


def predicts_without_learning(kind: Any) -> str:
    """Asking changes nothing: the same question has the same answer twice."""
    stream, one = _half_way(kind)
    x, _ = stream.tests(0)
    if not _same(one.predict(x, 0), one.predict(x.copy(), 0)):
        raise RuleBroken("predict answers the same question differently; it must not learn or draw")
    return ""


def restores(kind: Any) -> str:
    """Saved after the first task and restored into a new instance, it goes on as if nothing had happened."""
    stream, straight = _half_way(kind)
    if not straight.can_restore:
        return "no state and restore: nothing to try"
    saved = straight.method.state()
    try:
        saved = decode_state(encode_state(copy.deepcopy(saved)), "state")
    except (DataError, TypeError, ValueError) as problem:
        raise RuleBroken(f"state() holds what no file can ({problem}): only values and arrays") from None
    other = Contestant(kind, stream.spec, SEED)
    other.method.restore(saved)
    x, _ = stream.tests(1)
    for each in (straight, other):
        _learn(each, stream, 1)
    if not _same(straight.predict(x, 1), other.predict(x, 1)):
        raise RuleBroken("restored, it goes on differently; state() must hold all, generators too")
    return ""


RULES = (
    Rule("runs", runs),
    Rule("leaves its inputs", leaves_inputs),
    Rule("is deterministic", is_deterministic),
    Rule("predicts without learning", predicts_without_learning),
    Rule("save and restore equal a straight run", restores),
)


def validated(kind: Any, name: str) -> None:
    """See that a class keeps the rules.  Raises: DataError, one line, naming the first that is broken."""
    check_class(kind, name)
    if problems := broken(kind):
        rule, what = problems[0]
        more = f" (and {len(problems) - 1} more rules)" if len(problems) > 1 else ""
        raise DataError(f"{name} breaks the rule {rule!r}: {what}{more}; see: cl-repro compare validate")


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Equal but for the order of sums, which a matrix product takes from where its arrays lie in memory."""
    return bool(np.allclose(a, b, rtol=1e-4, atol=1e-5 * float(np.abs(a).max())))


def _unchanged(function: str, before: Any, after: Any) -> None:
    if not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
        raise RuleBroken(f"{function} changes the arrays that it is given; take a copy first")


def _learn(one: Contestant, stream: ArenaStream, task: int) -> None:
    for x, y in stream.batches(task):
        one.observe(x, y, task)
    one.end_task()


def _half_way(kind: Any) -> tuple[ArenaStream, Contestant]:
    stream = ArenaStream(small_plan(), SEED)
    one = Contestant(kind, stream.spec, SEED)
    _learn(one, stream, 0)
    return stream, one


def _answers(kind: Any, seed: int) -> Any:
    stream = ArenaStream(small_plan(), SEED)
    one = Contestant(kind, stream.spec, seed)
    for task in range(2):
        _learn(one, stream, task)
    return one.predict(stream.tests(0)[0], 0)
