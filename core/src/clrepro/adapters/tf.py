"""TensorFlow: threads, repeatable arithmetic, explicit generators and their state, variables and arrays."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.errors import UsageError
from clrepro.kernels.limits import product_limits

NOTES = (
    "All log messages before absl::InitializeLog()", "oneDNN custom operations are on",
    "Could not find cuda drivers", "failed call to cuInit", "Cannot dlopen some GPU libraries",
    "This TensorFlow binary is optimized to use", "To enable the following instructions",
)  # fmt: skip


def configure(threads: int = 1, *, deterministic: bool = True, accelerators: bool = False) -> None:
    """Let TensorFlow compute on the processor, on so many threads, and the same way every time.

    Once per process: TensorFlow keeps its number of threads from its first computation on.
    Args: deterministic — use its kernels whose sums have one order on any number of threads; on one thread
        the others have one too, another one; accelerators — leave those that it finds in use.
    Raises: UsageError if it has begun with another number.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with _without_notes():
        import tensorflow as tf

        config = tf.config
        gpus = config.get_visible_devices("GPU")
    wanted = {"intra": threads, "inter": 1}
    for kind, number in wanted.items():
        if getattr(config.threading, f"get_{kind}_op_parallelism_threads")() == number:
            continue
        try:
            getattr(config.threading, f"set_{kind}_op_parallelism_threads")(number)
        except RuntimeError:
            raise UsageError(
                f"--threads {threads}: TensorFlow has computed on another number in this process; start anew"
            ) from None
    if gpus and not accelerators:
        config.set_visible_devices([], "GPU")
    if deterministic:
        config.experimental.enable_op_determinism()


@contextlib.contextmanager
def _without_notes() -> Iterator[None]:
    """Keep back what TensorFlow's C++ says about every machine without a GPU, which no flag of its own hides.

    Everything else that is written to the standard error meanwhile comes out at the end.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as caught:
        real = os.dup(2)
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(real, 2)
            os.close(real)
            caught.seek(0)
            for line in caught.read().decode(errors="replace").splitlines():
                if not any(note in line for note in NOTES):
                    print(line, file=sys.stderr)


def generator(seed: int) -> Any:
    """Returns a tf.random.Generator of its own; its state is a variable, so compiled functions advance it."""
    import tensorflow as tf

    return tf.random.Generator.from_seed(seed, alg="philox")


def generator_state(source: Any) -> NDArray[np.int64]:
    """Returns a generator's state, int64 (3,)."""
    return np.asarray(source.state.numpy(), np.int64).copy()


def load_generator_state(target: Any, state: NDArray[np.int64]) -> None:
    """Put a generator back where `generator_state` found it."""
    target.state.assign(np.asarray(state, np.int64))


def values(variables: Sequence[Any]) -> list[NDArray[Any]]:
    """Returns copies of the variables' values as arrays."""
    return [np.array(variable.numpy()) for variable in variables]


def assign(variables: Sequence[Any], arrays: Sequence[NDArray[Any]]) -> None:
    """Give variables the values that `values` returned.

    Raises: ValueError for another number of arrays or other shapes (nothing is assigned then).
    """
    if [tuple(v.shape) for v in variables] != [np.shape(a) for a in arrays]:
        raise ValueError(
            f"arrays of shapes {[np.shape(a) for a in arrays]}: {[tuple(v.shape) for v in variables]}"
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(np.asarray(array))


def project(gradients: Sequence[Any], reference: Sequence[Any]) -> list[Any]:
    """Returns the gradients, or the nearest ones that have no part against the reference.

    g - (g.r / r.r) r where g.r < 0, the products over all tensors together; g where r is 0.
    Source: Chaudhry et al. 2019, equation 11.
    """
    import tensorflow as tf

    inner, square = _inner(gradients, reference), _inner(reference, reference)
    limits = np.finfo(inner.dtype.as_numpy_dtype)
    low, high = product_limits(float(limits.tiny), float(limits.max))

    def held(value: Any) -> Any:
        return (value >= low) & (value <= high)

    def plain() -> list[Any]:
        factor = tf.math.divide_no_nan(tf.minimum(inner, 0), square)
        return [g - factor * r for g, r in zip(gradients, reference, strict=True)]

    def looked_at() -> Any:
        # An inner product of about 0 is a true one where both lengths are held.
        sizes = [tf.reduce_max([tf.reduce_max(tf.abs(g)) for g in some]) for some in (gradients, reference)]
        usable = tf.reduce_all(tf.math.is_finite(sizes)) & tf.reduce_all(tf.stack(sizes) > 0)
        both = held(square) & held(_inner(gradients, gradients))
        return tf.cond(both | ~usable, plain, lambda: _projected_apart(gradients, reference, *sizes))

    found: list[Any] = tf.cond(held(square) & held(tf.abs(inner)), plain, looked_at)
    return found


def _inner(a: Sequence[Any], b: Sequence[Any]) -> Any:
    import tensorflow as tf

    return tf.add_n([tf.reduce_sum(x * y) for x, y in zip(a, b, strict=True)])


def _projected_apart(g: Sequence[Any], r: Sequence[Any], g_size: Any, r_size: Any) -> list[Any]:
    """As `project`, from gradients brought to size 1 in float64."""
    import tensorflow as tf

    scale = tf.cast(g_size, tf.float64)
    a = [tf.cast(x, tf.float64) / scale for x in g]
    b = [tf.cast(x, tf.float64) / tf.cast(r_size, tf.float64) for x in r]
    factor = tf.minimum(_inner(a, b), 0) / _inner(b, b)
    turned = [tf.cast((x - factor * y) * scale, own.dtype) for x, y, own in zip(a, b, g, strict=True)]
    return [tf.where(factor < 0, new, own) for new, own in zip(turned, g, strict=True)]
