"""`stable_sgd/main.py --engine batched --seeds 0,1,...`: the files of as many runs, made in one."""

from collections.abc import Callable

from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.seeding import Seeds
from clrepro.settings import keywords
from tag_repro.stable_sgd.batched_runs import BatchedRuns, ManyLearner, make_batched, together
from tag_repro.stable_sgd.fused_learner import FusedLearner
from tag_repro.stable_sgd.learners import rates
from tag_repro.stable_sgd.outputs import Writer, trial_id
from tag_repro.stable_sgd.settings import StableSession, StableSettings
from tag_repro.stable_sgd.train import StableResult, run
from tag_repro.streams import build
from tag_repro.task_stream import TaskStream


def run_all(runs: list[StableSettings], session: StableSession) -> list[StableResult]:
    """Do runs that differ in their seed alone, each with its own files and checkpoint; returns their results.

    Raises: what a run raised, when the others have gone on to their ends.
    """
    seeds = [Seeds(settings.seed) for settings in runs]
    streams = [
        build(settings, each.generator("tasks"), session.data_dir, multi_head=False)
        for settings, each in zip(runs, seeds, strict=True)
    ]
    first = streams[0]
    sizes = (first.stream.n_inputs, first.n_outputs)
    batched = make_batched(seeds, *sizes, **keywords(make_batched, runs[0]))
    writers = [
        Writer(
            session.out / trial_id(settings), trial_id(settings), plots=not session.no_plots,
            prefix=f"[seed {settings.seed}] ",
        )
        for settings in runs
    ]  # fmt: skip
    with Progress(len(runs)) as progress:
        learning = [
            _loop(batched, number, *each, progress, fresh=not session.resume)
            for number, each in enumerate(zip(runs, seeds, streams, writers, strict=True))
        ]
        results = together(batched, learning)
    for writer, result in zip(writers, results, strict=True):
        if not isinstance(result, BaseException):
            writer.finished(result)
    if problem := next((each for each in results if isinstance(each, BaseException)), None):
        raise problem
    return results


def _loop(
    batched: BatchedRuns, number: int, settings: StableSettings, seeds: Seeds, task_stream: TaskStream,
    writer: Writer, progress: Progress, *, fresh: bool,
) -> Callable[[], StableResult]:  # fmt: skip
    """The loop of one run, to be called in a thread."""

    def loop() -> StableResult:
        checkpoint = RunDir(writer.folder.path)
        with checkpoint.lock():
            if fresh:
                checkpoint.remove_state("task")
            own = keywords(FusedLearner, settings, rate=rates(settings))
            learner = ManyLearner(task_stream, seeds, batched=batched, number=number, **own)
            return run(
                settings, task_stream, seeds, checkpoint=checkpoint, listener=writer, learner=learner,
                progress=progress,
            )  # fmt: skip

    return loop
