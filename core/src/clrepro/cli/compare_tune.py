"""`cl-repro compare tune`: K draws of every method's options, and the one that each rule chooses."""

from pathlib import Path

from clrepro.arena import runs, tuning
from clrepro.arena.choices import FILE, Choices, read_choices, write_choices
from clrepro.arena.environments import python_for
from clrepro.arena.methods import Entry, find, from_file
from clrepro.arena.streams import Plan, plan
from clrepro.cli.running import n_cores, run_jobs, stop_on_signals
from clrepro.errors import DataError
from clrepro.io.atomic import make_folder
from clrepro.sweep import Executor, Folder, Job, Processes, sweep_lock
from clrepro.sweep.host import say, show
from clrepro.sweep.jobs import ARENA


def run(
    stream: list[str], methods: list[str] | None, method: list[str] | None, rule: list[str] | None,
    draws: int, profile: str, jobs: int | None, out: Path, budget: float, **sizes: int | None,
) -> int:  # fmt: skip
    """Run the trials that are missing and write `<out>/arena/choices.json`.

    Returns: the exit code.  Raises: UsageError, BusyError; DataError if a method has no finished trial.
    """
    entries = [from_file(words) for words in method or []] + [find(name) for name in methods or []]
    for entry in entries:
        python_for(entry)
    plans = [plan(name, profile, **sizes) for name in stream]
    out, store = make_folder(out), Folder(out)
    path = out / ARENA / FILE
    choices = read_choices(path)
    with stop_on_signals() as exit_code, sweep_lock(out, ARENA, tuning.PROFILE):
        for each in plans:
            for one in rule or tuning.RULES:
                sets = {entry.name: tuning.trials(entry, each, one, draws, budget) for entry in entries}
                every = [job for some in sets.values() for job in some]

                def workers(n_left: int) -> Executor:
                    return Processes(store, min(jobs or n_cores(), n_left))

                try:
                    run_jobs(f"trials of {each.name} by {one}", every, store, workers)
                except KeyboardInterrupt:
                    say("stopped; finished trials are kept, the same command goes on from here")
                    return exit_code()
                for entry in entries:
                    _choose(choices, each, one, entry, sets[entry.name], out)
        write_choices(path, choices)
    show(str(path))
    return 0


def _choose(
    choices: Choices, plan: Plan, rule: str, entry: Entry, jobs: list[Job], out: Path
) -> None:
    """Note what the rule chooses for a method, and say it."""
    if not jobs:
        show(f"{entry.name}: has no SPACE, so nothing can be tuned; its default row stands for all")
        return
    choice = tuning.choose(jobs, runs.found(jobs, out))
    if choice is None:
        raise DataError(f"{entry.name}: none of {len(jobs)} trials on {plan.name} has finished")
    choices.setdefault(plan.name, {}).setdefault(rule, {})[entry.name] = choice
    few = f"; {choice.drawn} of {tuning.K} draws, not comparable" if choice.drawn < tuning.K else ""
    show(f"{plan.name} {rule} {entry.name}: {dict(choice.options)} ({100 * choice.value:.2f} %){few}")
