"""One run from settings to results: tasks in order, evaluation after each, files, checkpoints."""

import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clrepro.adapters.torch import use_one_thread
from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.io.strict_json import load_json_object
from clrepro.progress import Progress
from clrepro.records import Outcome
from rewire_repro import checkpoint
from rewire_repro.frameworks import Framework, make_framework
from rewire_repro.loggers import Logger
from rewire_repro.results import Results, document, identity, metrics, one_policy_size
from rewire_repro.scenarios import Scenario, make_scenario, without_simulator
from rewire_repro.settings import Settings

log = logging.getLogger(__name__)
PNN_OTHERS = 64 / 24  # in the quick profile; 256 / 96 in the full one: the same


def run(
    settings: Settings,
    config: dict[str, Any],
    folder: RunDir,
    states: RunDir,
    progress: Progress | None = None,
) -> Outcome | None:
    """Train and evaluate; returns what the record keeps, None for a dry run.

    Args: config — as composed, for params.json; folder — of the run's files; states — of its checkpoints.
    Raises: FloatingPointError in one line when a reward or a loss is no number, after writing diverged.state.
    """
    device = pick_device(settings.device)
    use_one_thread()
    if settings.dry_run:
        scenario = without_simulator(settings, device)
        framework = make_framework(settings, scenario, device)
        print(
            f"{settings.method} on {scenario.name}: composes; "
            f"{framework.memory_size()['training']} parameters"
        )
        return None
    with folder.lock():
        folder.atomic_write_json("params.json", config)
        logger = Logger(folder.path, config["logger"])
        try:
            scenario = make_scenario(settings, device)
            framework = make_framework(settings, scenario, device)
            return _tasks(settings, scenario, framework, folder, states, logger, progress)
        finally:
            logger.close()


def pick_device(name: str) -> torch.device:
    """Returns the device.  Raises: UsageError if a GPU is asked for and torch finds none."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise UsageError("device=cuda: torch finds no usable GPU here; device=auto takes what there is")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def _tasks(
    settings: Settings,
    scenario: Scenario,
    framework: Framework,
    folder: RunDir,
    states: RunDir,
    logger: Logger,
    progress: Progress | None,
) -> Outcome:
    """The sequence of tasks, from its start or from a checkpoint."""
    mark, results = identity(settings), Results()
    results = _resumed(settings, framework, states, mark) or results
    train, test = scenario.train_tasks(), scenario.test_tasks()

    def save(one: Framework) -> None:
        checkpoint.save(states, one, results.plain(), mark)
        logger.flush()

    course = (progress or Progress.silent()).run(len(train), framework.done(train))
    for task in train[framework.stage :]:
        try:
            report = framework.train(task, logger, save, course)
            evaluation = framework.evaluate(framework.due(test))
            if not np.isfinite([one["avg_reward"] for one in evaluation.values()]).all():
                raise FloatingPointError("the return of an evaluation is no number")
        except FloatingPointError as problem:
            path = states.save_state("diverged", {"framework": framework.state(), "results": results.plain()})
            place = f"task {task.task_id} ({task.name}) of {settings.method}"
            raise FloatingPointError(f"{place}: {problem}; its last state is in {path}") from None
        results.add(evaluation, len(test), framework.memory_size(), framework.agent.facts())
        _log(logger, task.task_id, task.name, report, evaluation, framework)
        if settings.checkpoint:
            checkpoint.write_dats(folder, framework, task.task_id)
        save(framework)
        folder.atomic_write_json("results.json", document(settings, scenario, framework, results))
        course.at(framework.stage)
    return _outcome(settings, scenario, framework, results)


def _resumed(settings: Settings, framework: Framework, states: RunDir, mark: str) -> Results | None:
    """The results of an earlier part of this run, from its own folder or from framework.params.path."""
    found = checkpoint.restore(states, framework, mark)
    if found is None and settings.path is not None:
        source = Path(settings.path)
        if not source.is_dir():
            raise UsageError(f"framework.params.path={source}: no such folder")
        found = checkpoint.restore(RunDir(source), framework, mark)
        if found is None:
            stage = checkpoint.read_dats(source, framework)
            found = _rows(source, stage)
    if found is None:
        return None
    log.info("going on after %d finished tasks", framework.stage)
    return Results(**found)


def _rows(source: Path, stage: int) -> dict[str, Any]:
    """The rows of results.json that belong to the tasks a `.dat` file has behind it."""
    path = source / "results.json"
    body = load_json_object(path) if path.is_file() else {}
    names = {"returns": "R", "success_any": "success_any", "success_final": "success_final"}
    rows = {ours: body.get(theirs, [])[:stage] for ours, theirs in names.items()}
    same = {name: body.get(name, [])[:stage] for name in ("n_parameters", "facts", "oracle")}
    return {**rows, **same}


def _log(
    logger: Logger, task_id: int, name: str, report: dict[str, float], evaluation: Any, framework: Framework
) -> None:
    """The original's scalar names, one point per stage; a line on stdout."""
    for key, value in report.items():
        logger(f"monitor_per_stage/{key}", value, task_id)
    for test_id, one in evaluation.items():
        logger(f"evaluation/{test_id}_avg_reward", one["avg_reward"], task_id)
        logger(f"evaluation/{test_id}_success_rate", one["success_rate"], task_id)
        if "oracle_reward" in one:
            logger(f"evaluation/{test_id}_oracle_reward", one["oracle_reward"], task_id)
    everything = len(evaluation) == len(framework.scenario.sequence)
    for key in ("avg_reward", "success_rate") if everything else ():
        logger(
            f"evaluation/aggregate_{key}", float(np.mean([one[key] for one in evaluation.values()])), task_id
        )
    logger("memory/n_parameters", framework.memory_size()["inference"], task_id)
    logger.flush()
    returns = ", ".join(f"{one['avg_reward']:.2f}" for one in evaluation.values())
    print(
        f"task {task_id} ({name}) learnt in {report['training_time']:.0f} s; "
        f"returns of {'all tasks' if everything else 'this task'}: {returns}",
        flush=True,
    )


def _outcome(settings: Settings, scenario: Scenario, framework: Framework, results: Results) -> Outcome:
    hidden = int(settings.policy["hidden_size"])
    if settings.method == "pnn":
        hidden = round(hidden * PNN_OTHERS)
    plain = replace(settings, path=None)
    return Outcome(
        metrics=metrics(settings, results, one_policy_size(settings, scenario, hidden), framework.curves),
        series={
            "R": results.returns,
            "success_any": results.success_any,
            "success_final": results.success_final,
            "curve_steps": [one["steps"] for one in framework.curves],
            "curve_returns": [one["returns"] for one in framework.curves],
            "reward_steps": [one["reward_steps"] for one in framework.curves],
            "rewards": [one["rewards"] for one in framework.curves],
            **_more_series(settings, framework, results),
        },
        settings={**asdict(plain), "backend": scenario.backend, "backend_reason": scenario.reason},
        data={
            "tasks": list(scenario.sequence),
            "interactions": framework.interactions,
            "facts": results.facts,
        },
        cost={**framework.wall, "compile_s": scenario.compile_s()},
    )


def _more_series(settings: Settings, framework: Framework, results: Results) -> dict[str, Any]:
    """Successes while training where tasks have a goal; csp's oracle where it was asked for."""
    out: dict[str, Any] = {}
    if settings.scenario.evaluate_success:
        out["curve_success"] = [one["success"] for one in framework.curves]
    if results.oracle:
        out["oracle"] = results.oracle
    return out
