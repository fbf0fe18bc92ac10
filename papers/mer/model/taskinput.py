"""The `taskinput` learner: `Net(n_inputs, n_outputs, n_tasks, args)`.  The program is mer_repro.methods."""

from functools import partial

from mer_repro.learner import build

Net = partial(build, "taskinput")
