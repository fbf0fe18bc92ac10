"""The floor plan: imports go downwards, none in a circle, what learns knows no settings, and papers have the
same entry points.
"""

import ast
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {"clrepro": ROOT / "core" / "src" / "clrepro"} | {
    f"{path.name}_repro": path / "src" / f"{path.name}_repro" for path in sorted((ROOT / "papers").iterdir())
}
# Scripts beside each other, imported by their bare names.
SCRIPTS = [ROOT / "ci", ROOT / "docker" / "tools", ROOT / "core" / "tools"]
# In the core, from the top down; what is not named here may be used by all.
UPPER = ("clrepro.cli", "clrepro.report", "clrepro.sweep", "clrepro.claims", "clrepro.records", "clrepro.io")


def modules(folder: Path, package: str) -> dict[str, Path]:
    return {
        ".".join([package, *path.relative_to(folder).with_suffix("").parts]).removesuffix(".__init__"): path
        for path in folder.rglob("*.py")
    }


def scripts(folder: Path) -> dict[str, Path]:
    found = modules(folder, "").items()
    return {name.lstrip("."): path for name, path in found if "tests" not in path.parts}


PACKAGED = {name: path for top, folder in SOURCES.items() for name, path in modules(folder, top).items()}
EVERY = PACKAGED | {name: path for folder in SCRIPTS for name, path in scripts(folder).items()}


def imported(name: str) -> Iterator[str]:
    """The modules of ours that a module imports, at its top or in a function, not for types alone."""
    tree = ast.parse(EVERY[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name in EVERY)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                inner = f"{node.module}.{each.name}"
                if inner in EVERY or node.module in EVERY:
                    yield inner if inner in EVERY else node.module


ARROWS = {name: set(imported(name)) - {name} for name in EVERY}


def circle() -> list[str]:
    """Returns modules that import each other in a ring; empty if there is none."""
    state: dict[str, int] = {}
    way: list[str] = []

    def visit(name: str) -> list[str]:
        state[name] = 1
        way.append(name)
        for each in sorted(ARROWS[name]):
            # A package's __init__ hands on names of its own modules; they do not go back through it.
            if EVERY[each].name == "__init__.py" and name.startswith(f"{each}."):
                continue
            if state.get(each) == 1:
                return [*way[way.index(each) :], each]
            if each not in state and (found := visit(each)):
                return found
        way.pop()
        state[name] = 2
        return []

    for name in sorted(EVERY):
        if name not in state and (found := visit(name)):
            return found
    return []


def test_no_module_imports_itself_over_others() -> None:
    assert circle() == []


def test_a_circle_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARROWS, "clrepro.errors", {"clrepro.records"})
    found = circle()
    assert found[0] == found[-1]
    assert "clrepro.errors" in found


def test_every_script_is_looked_at() -> None:
    assert {"run_nox", "environments", "faults.commands", "images", "sweep_load"} <= set(ARROWS)
    assert "interpreter" in ARROWS["environments"]
    assert "checkout" in ARROWS["images"]


def test_the_core_knows_no_paper_and_no_paper_another() -> None:
    for name in PACKAGED:
        targets = ARROWS[name]
        own = name.partition(".")[0]
        strangers = {t for t in targets if t.partition(".")[0] not in (own, "clrepro")}
        assert not strangers, f"{name} imports {strangers}"
        assert own != "clrepro" or not {t for t in targets if not t.startswith("clrepro")}


def test_nothing_imports_the_command() -> None:
    users = {name: ARROWS[name] for name in PACKAGED if not name.startswith("clrepro.cli")}
    assert not [name for name, ts in users.items() if any(t.startswith("clrepro.cli") for t in ts)]


@pytest.mark.parametrize("floor", range(1, len(UPPER)))
def test_imports_of_the_core_go_downwards(floor: int) -> None:
    lower, above = UPPER[floor], UPPER[:floor]
    for name, targets in ARROWS.items():
        if name == lower or name.startswith(f"{lower}."):
            rising = {t for t in targets if any(t == a or t.startswith(f"{a}.") for a in above)}
            assert not rising, f"{name} reaches up to {rising}"


@pytest.mark.parametrize("paper", [name for name in SOURCES if name != "clrepro"])
def test_every_paper_has_the_same_entry_points(paper: str) -> None:
    """`cli` holds what a sweep calls, `bench` what the benchmark runs, SPEC.md what is promised."""
    assert f"{paper}.cli" in EVERY
    assert f"{paper}.bench" in EVERY
    home = SOURCES[paper].parents[1]
    for file in ("README.md", "SPEC.md", "profiles.toml", "claims.toml"):
        assert (home / file).is_file()


def last(name: str) -> str:
    return name.rpartition(".")[2]


ROOMS = ("cli", "settings", "streams", "networks", "methods", "train", "outputs")
# A room that a program has under another roof, and why.
ELSEWHERE = {
    ("tag_repro.tag", "streams"): "tag_repro.task_stream",  # shared with Stable SGD
    ("tag_repro.tag", "networks"): "tag_repro.networks",
    ("tag_repro.stable_sgd", "streams"): "tag_repro.task_stream",
    ("tag_repro.stable_sgd", "networks"): "tag_repro.networks",
    ("tag_repro.stable_sgd", "methods"): "tag_repro.stable_sgd.learners",  # one method, two engines
    ("rewire_repro", "streams"): "rewire_repro.scenarios",  # environments, not data
    ("rewire_repro", "methods"): "rewire_repro.agents",  # as the original calls them
    ("rewire_repro", "outputs"): "rewire_repro.results",  # JSON alone; loggers write the rest
    ("hvcl_repro.supervised", "streams"): "hvcl_repro.supervised.benchmarks",  # after the flag --benchmark
    ("hvcl_repro.supervised", "outputs"): "hvcl_repro.supervised.cli",  # one JSON file, five lines
    ("hvcl_repro.rl", "streams"): "hvcl_repro.rl.environments",
    ("hvcl_repro.rl", "methods"): "hvcl_repro.rl.sac",  # one method
    ("hvcl_repro.baselines", "streams"): "hvcl_repro.rl.environments",
    ("hvcl_repro.baselines", "networks"): "hvcl_repro.baselines.policy",
    ("hvcl_repro.baselines", "methods"): "hvcl_repro.baselines.penalties",  # what EWC and UCL add to PPO
    ("hvcl_repro.baselines", "outputs"): "hvcl_repro.baselines.cli",
}


def programs() -> list[str]:
    """The packages that hold a program: a paper's, or one in a folder of its own."""
    homes = [name.removesuffix(".cli") for name in PACKAGED if last(name) == "cli"]
    return [h for h in homes if h != "clrepro" and f"{h}.train" in PACKAGED]


def test_every_program_has_the_same_rooms() -> None:
    assert len(programs()) == 9
    for home in programs():
        for room in ROOMS:
            known = any(name == f"{home}.{room}" or name.startswith(f"{home}.{room}.") for name in EVERY)
            other = ELSEWHERE.get((home, room))
            assert known != bool(other), f"{home} has no room {room!r}, or two"
            assert other is None or any(n == other or n.startswith(f"{other}.") for n in EVERY), other


# What learns is built from plain arguments: it knows no settings, and nothing of the program around it.
BUILDING_BLOCKS = {"methods", "memory", "networks", "optim", "layers", "hessian", "adapters", "kernels"}
PROGRAM = {"settings", "cli", "train", "outputs", "program", "streams"}


def test_what_learns_takes_no_settings() -> None:
    found = [name for name in PACKAGED if BUILDING_BLOCKS & set(name.split("."))]
    assert {"mer_repro.methods.gem", "tag_repro.tag.methods.er", "ta_agem_repro.memory.pool"} <= set(found)
    for name in found:
        own = {t for t in ARROWS[name] if t.partition(".")[0] == name.partition(".")[0]}
        reached = {t for t in own if last(t) in PROGRAM}
        assert not reached, f"{name} imports {reached}"


def test_a_loop_reaches_no_command_line_and_no_file_format() -> None:
    loops = [name for name in PACKAGED if last(name) == "train"]
    assert len(loops) >= 9
    for name in loops:
        reached = {t for t in ARROWS[name] if last(t) in {"cli", "arguments", "outputs", "program"}}
        assert not reached, f"{name} imports {reached}"


def test_the_programs_of_a_paper_stand_apart() -> None:
    """But for HVCL's baselines of reinforcement learning, which learn where its own method does."""
    homes = [name.removesuffix(".cli") for name in PACKAGED if name.count(".") == 2 and last(name) == "cli"]
    assert {"tag_repro.tag", "tag_repro.stable_sgd", "tag_repro.tensorflow", "hvcl_repro.rl"} <= set(homes)
    reached = {
        (home, other)
        for home, other in itertools.permutations(homes, 2)
        for name in PACKAGED
        if name.startswith(f"{home}.") and any(t.startswith(f"{other}.") for t in ARROWS[name])
    }
    assert reached == {("hvcl_repro.baselines", "hvcl_repro.rl")}


def test_every_command_line_is_a_program_of_the_core() -> None:
    for name in (n for n in PACKAGED if last(n) == "cli" and not n.startswith("clrepro")):
        program = f"{name.partition('.')[0]}.program"
        assert {"clrepro.program", program} & ARROWS[name], name
        assert program not in ARROWS or "clrepro.program" in ARROWS[program]
