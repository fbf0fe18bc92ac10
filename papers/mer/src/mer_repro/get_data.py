"""`get_data.py`: make the task files mnist_rotations.pt, mnist_permutations.pt and
mnist_manypermutations.pt.
"""

import argparse
import contextlib
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.adapters.torch import generator
from clrepro.datasets import Dataset, load
from clrepro.datasets.tar_files import Archive, opened
from clrepro.errors import DataError, UsageError
from clrepro.io.atomic import make_folder
from clrepro.io.checkpoint import RunDir
from clrepro.io.lock import hold_lock
from clrepro.records import Outcome
from clrepro.seeding import Seeds
from clrepro.streams import rotation_map
from clrepro.sweep.host import show
from mer_repro.program import Parser, Program
from mer_repro.streams import (
    KINDS,
    DenseTasks,
    LazyTasks,
    TaskFile,
    convert,
    kind_of_file,
    load_tasks,
    save_dense,
    save_lazy,
)

SOURCES = {60_000: "mnist", 10_000: "mnist_quick"}  # by training examples per task, for dense files
MAX_TASK_FILE = 1 << 35  # the largest hosted one had 21 GB
MAX_ARCHIVE = 1 << 36


def task_maps(kind: str, n_tasks: int, seed: int) -> tuple[list[Any], NDArray[np.int64]]:
    """Returns (descriptors, pixel maps int64 (n_tasks, 784)).

    Rotations: task t turns by an angle uniform in [180 t / T, 180 (t + 1) / T) degrees.  Permutations: one
    torch randperm per task, task 0 included.  Source: contract 2.5.
    """
    if kind == "rotations":
        rng = Seeds(seed).generator("angles")
        angles = [float(180 * (t + rng.random()) / n_tasks) for t in range(n_tasks)]
        return angles, np.stack([rotation_map(angle) for angle in angles])
    import torch

    draws = generator(seed)
    maps = [torch.randperm(784, generator=draws).numpy() for _ in range(n_tasks)]
    return ["random permutation"] * n_tasks, np.stack(maps)


def base_images(source: str, raw: Path | None) -> Dataset:
    """Returns the MNIST images to make tasks from.

    Args: source — quick (embedded), raw (official files, found as `clrepro.datasets` finds them), download,
        or auto: raw where that is possible, else quick with a note.
    """
    if source == "quick":
        return load("mnist_quick")
    if source in ("raw", "download"):
        return load("mnist", raw, download=source == "download")
    try:
        return load("mnist", raw)
    except DataError as problem:
        if raw is not None:
            raise
        print(f"note: {problem}", file=sys.stderr)
        print("note: using the embedded 10,000 + 2,000 digits (--source quick)", file=sys.stderr)
        return load("mnist_quick")


def make(kind: str, data: Dataset, path: Path, *, dense: bool, n_tasks: int, seed: int) -> None:
    """Write one task file under a temporary name and put it in place when it is whole."""
    descriptors, maps = task_maps(kind, n_tasks, seed)
    arrays: dict[str, NDArray[Any]] = {
        "x_train": data.x_train.reshape(len(data.x_train), -1), "y_train": data.y_train,
        "x_test": data.x_test.reshape(len(data.x_test), -1), "y_test": data.y_test,
    }  # fmt: skip
    with replacing(path) as temporary:
        if dense:
            save_dense(descriptors, maps, arrays, temporary)
        else:
            save_lazy(kind, data.name, descriptors, maps, arrays, temporary)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name to write to; its file replaces `path` if the block ends well, else it is removed."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)  # of a killed call; and nothing is written through a link
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from None
    except RuntimeError as error:  # torch says only that fewer bytes arrived than it sent
        reason = " ".join(str(error).split())[:160]
        raise DataError(f"{path}: cannot be written; is the disk full? (torch: {reason})") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def difference(tasks: TaskFile, kind: str, *, source: str, dense: bool, n_tasks: int, seed: int) -> str:
    """Returns in what a task file differs from the one that was asked for; "" if in nothing that shows.

    Args: source — the data set's name, or "auto" for any.
    """
    descriptors, maps = task_maps(kind, n_tasks, seed)
    if isinstance(tasks, DenseTasks) != dense:
        return "it has the other --format"
    if tasks.n_tasks != n_tasks:
        return f"it has {tasks.n_tasks} tasks, not {n_tasks}"
    if [tasks.descriptor(t) for t in range(n_tasks)] != descriptors:
        return "its rotations or permutations are others"
    is_from = tasks.source if isinstance(tasks, LazyTasks) else SOURCES.get(tasks.train_size(0), "elsewhere")
    if source not in ("auto", is_from):
        return f"its images are from {is_from}, not {source}"
    if not _has_maps(tasks, maps):
        return "its permutations come from another --seed"
    return ""


def _has_maps(tasks: TaskFile, maps: NDArray[np.int64]) -> bool:
    """True if the tasks were made by these pixel maps.

    Dense files do not hold them; with permutations undone, all tasks must show the same images.  (Rotations
    are known by their angles.)
    """
    if tasks.maps is not None:
        return np.array_equal(tasks.maps, maps)
    if (maps < 0).any():
        return True
    shown = [tasks.test_rows(t)[:100][:, np.argsort(one)] for t, one in enumerate(maps)]
    return all(np.array_equal(shown[0], rows) for rows in shown[1:])


def unpack(archive: Path, out_dir: Path, kinds: Sequence[str] = tuple(KINDS)) -> list[Path]:
    """Take the task files of these kinds out of an originally hosted archive (mnist_<name>.tar.gz).

    Raises: DataError if it cannot be read, holds no such file or a damaged one, or names a path outside its
    own folder.
    """
    names = {f"mnist_{kind}.pt" for kind in kinds}
    done = []
    with opened(archive, MAX_TASK_FILE, MAX_ARCHIVE) as tar:
        for member in tar:
            place = Path(member.name)
            if place.is_absolute() or ".." in place.parts or member.issym() or member.islnk():
                raise DataError(f"{archive}: refuses to unpack {member.name!r}: it leads outside the folder")
            if place.name in names and member.isfile():
                done.append(_take(tar, member, make_folder(out_dir) / place.name))
    if not done:
        raise DataError(f"{archive}: holds none of {', '.join(sorted(names))}")
    return done


def _take(tar: Archive, member: tarfile.TarInfo, path: Path) -> Path:
    with replacing(path) as temporary:
        with tar.open(member) as source, open(temporary, "wb") as target:
            while block := source.read(1 << 20):
                target.write(block)
        if (
            kind_of_file(temporary) != "old"
        ):  # those can only be looked into by loading all of their 4 to 21 GB
            load_tasks(temporary)
    return path


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    out = Parser(prog="get_data.py", description=" ".join((__doc__ or "").split()))
    out.add_argument("dataset", choices=["all", *KINDS], help="which task file to make")
    out.add_argument(
        "--source",
        choices=["auto", "raw", "quick", "download"],
        default="auto",
        help="auto: official MNIST files if found, else the embedded digits (default)",
    )
    out.add_argument("--raw", type=Path, help="folder with the official MNIST files")
    out.add_argument(
        "--archive", type=Path, help="take the task file from a mnist_<name>.tar.gz as once hosted"
    )
    out.add_argument("--convert", type=Path, metavar="FILE", help="rewrite a task file saved by an old torch")
    out.add_argument("--out_dir", type=Path, default=Path("data"), help="default: data/ of this folder")
    out.add_argument(
        "--format",
        choices=["lazy", "dense"],
        default="lazy",
        help="lazy: images once, 55 MB (default); dense: the original's layout, 4 to 21 GB at full size",
    )
    out.add_argument("--n_tasks", type=int, help="default: 20, 20 and 100")
    out.add_argument("--seed", type=int, default=0, help="of angles and permutations (default 0)")
    out.add_argument("--force", action="store_true", help="replace files that are there")
    return out


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Returns the flags of a command line.  Raises: UsageError for what does not fit together."""
    args = parser().parse_args(argv)
    if not 0 <= args.seed < 2**32 or (args.n_tasks is not None and args.n_tasks < 1):
        raise UsageError("--seed must be 0 or more (below 2**32) and --n_tasks 1 or more")
    if args.raw is not None and args.source not in ("auto", "raw"):
        raise UsageError(f"--raw names the official files; --source {args.source} does not read them")
    if args.convert is not None and args.dataset == "all":
        raise UsageError("--convert FILE: say which of the three it is, e.g. get_data.py rotations --convert")
    return args


def run(args: argparse.Namespace) -> None:
    """Make what the command line asks for."""
    kinds = list(KINDS) if args.dataset == "all" else [args.dataset]
    out_dir = make_folder(args.out_dir)
    with alone_in(out_dir):
        if args.archive is not None:
            for path in unpack(args.archive, out_dir, kinds):
                show(f"{path}: unpacked")
        elif args.convert is not None:
            with replacing(path := _path(out_dir, kinds[0])) as temporary:
                convert(args.convert, temporary)
            show(f"{path}: converted")
        else:
            _make_missing(args, out_dir, kinds)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder, so that two of these programs never write one file.  Raises: BusyError."""
    lock = folder / ".get_data.lock"
    with hold_lock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _path(out_dir: Path, kind: str) -> Path:
    return out_dir / f"mnist_{kind}.pt"


def _make_missing(args: argparse.Namespace, out_dir: Path, kinds: list[str]) -> None:
    """Make the files that are not there or damaged; only --force replaces a good file made otherwise."""
    wanted = {"quick": "mnist_quick", "auto": "auto"}.get(args.source, "mnist")
    options = {"dense": args.format == "dense", "seed": args.seed}
    missing = []
    for kind in kinds:
        path, n_tasks = _path(out_dir, kind), args.n_tasks or KINDS[kind]
        if args.force or (tasks := _good(path)) is None:
            missing.append(kind)
        elif reason := difference(tasks, kind, source=wanted, n_tasks=n_tasks, **options):
            raise DataError(
                f"{path}: is there already, but {reason}; --force replaces it, --out_dir makes another"
            )
        else:
            show(f"{path}: is there already (--force makes it again)")
    if not missing:
        return
    data = base_images(args.source, args.raw)
    for kind in missing:
        path, n_tasks = _path(out_dir, kind), args.n_tasks or KINDS[kind]
        make(kind, data, path, n_tasks=n_tasks, **options)
        size = path.stat().st_size / 1e6
        show(f"{path}: {n_tasks} tasks from {data.name} ({data.licence}), {size:.1f} MB")


def _good(path: Path) -> TaskFile | None:
    try:
        return load_tasks(path)
    except DataError:
        return None


def run_job(args: argparse.Namespace, _: RunDir) -> Outcome:
    """Make the files for a sweep; there is nothing to measure."""
    run(args)
    return Outcome({})


GET_DATA = Program("get_data.py", parse=parse, run=run, job=run_job)
main = GET_DATA.main
