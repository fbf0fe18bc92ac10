"""Environment of the tests: one thread, no chatter, and TensorFlow Probability imported once."""

import os
import warnings

os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1", "TF_USE_LEGACY_KERAS": "1"})
for _pool in ("OMP", "TF_NUM_INTRAOP", "TF_NUM_INTEROP"):
    os.environ.setdefault(f"{_pool}_THREADS" if "TF" in _pool else f"{_pool}_NUM_THREADS", "1")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for versions in a deprecated way when it is imported
    from tensorflow_probability import bijectors, distributions

    distributions.TransformedDistribution(
        distributions.Normal(0.0, 1.0), bijectors.Tanh()
    )  # its parts load when they are first used
