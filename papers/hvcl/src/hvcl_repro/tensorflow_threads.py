"""TensorFlow set up for one run: one thread and no chatter, so a record does not hang on its neighbours."""

import os


def quiet() -> None:
    """Ask TensorFlow, before it is imported, for errors only; what the user has set stays."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # the layers are Keras 2 layers


def one_thread() -> None:
    """Use one thread for everything; without effect once TensorFlow has begun to compute."""
    import contextlib

    import tensorflow as tf

    with contextlib.suppress(RuntimeError):  # it has begun
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
