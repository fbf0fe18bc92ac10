"""Environment of the tests: one thread, no chatter, and TensorFlow Probability imported once."""

import os
import warnings

import pytest

from clrepro.adapters.tf import configure

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
configure(deterministic=False)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for versions in a deprecated way when it is imported
    from tensorflow_probability import bijectors, distributions

    distributions.TransformedDistribution(
        distributions.Normal(0.0, 1.0), bijectors.Tanh()
    )  # its parts load when they are first used


@pytest.fixture
def stopped(monkeypatch):
    """A function that calls `work` and stops the training in it as a task ends, as Ctrl-C would."""
    from hvcl_repro.supervised.trainer import Trainer

    real = Trainer.end_task

    def stop(work, task):
        calls = []

        def end(self):
            calls.append(1)
            if len(calls) == task:
                raise KeyboardInterrupt
            real(self)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "end_task", end)
            with pytest.raises(KeyboardInterrupt):
                work()

    return stop
