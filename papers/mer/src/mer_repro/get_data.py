"""`get_data.py`: make the task files mnist_rotations.pt, mnist_permutations.pt and
mnist_manypermutations.pt.
"""

import argparse
import os
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.adapters.torch import generator
from clrepro.datasets import Dataset, load
from clrepro.errors import DataError, UsageError
from clrepro.runs import make_folder
from clrepro.seeding import Seeds
from clrepro.streams import rotation_map
from mer_repro.data import load_tasks, save_dense, save_lazy

KINDS = {"rotations": 20, "permutations": 20, "manypermutations": 100}
PAPER = Path(__file__).resolve().parents[2]


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
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if dense:
            save_dense(descriptors, maps, arrays, temporary)
        else:
            save_lazy(kind, data.name, descriptors, maps, arrays, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise DataError(f"{path}: cannot be written ({' '.join(str(error).split())[:160]})") from None
    finally:
        temporary.unlink(missing_ok=True)


def unpack(archive: Path, out_dir: Path) -> list[Path]:
    """Take the .pt files out of one of the originally hosted archives (mnist_<name>.tar.gz).

    Raises: DataError if it cannot be read, holds no task file, or names a path outside its own folder.
    """
    names = {f"mnist_{kind}.pt" for kind in KINDS}
    done = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                place = Path(member.name)
                if place.is_absolute() or ".." in place.parts or member.issym() or member.islnk():
                    raise DataError(
                        f"{archive}: refuses to unpack {member.name!r}: it leads outside the folder"
                    )
                if place.name in names and member.isfile():
                    done.append(_take(tar, member, make_folder(out_dir) / place.name))
    except (OSError, tarfile.TarError, EOFError) as error:
        raise DataError(f"{archive}: cannot be unpacked ({error})") from None
    if not done:
        raise DataError(f"{archive}: holds none of {', '.join(sorted(names))}")
    return done


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Path:
    source = tar.extractfile(member)
    assert source is not None
    with source, tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as target:
        while block := source.read(1 << 20):
            target.write(block)
    Path(target.name).replace(path)
    return path


def parser() -> argparse.ArgumentParser:
    """Returns the command line's parser."""
    out = argparse.ArgumentParser(prog="get_data.py", description=(__doc__ or "").split("\n")[0])
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
    out.add_argument("--out_dir", type=Path, default=PAPER / "data", help="default: data/ of this paper")
    out.add_argument(
        "--format",
        choices=["lazy", "dense"],
        default="lazy",
        help="lazy: images once, 55 MB (default); dense: the original's layout, 4 to 21 GB at full size",
    )
    out.add_argument("--n_tasks", type=int, help="default: 20, 20 and 100")
    out.add_argument("--seed", type=int, default=0, help="of angles and permutations (default 0)")
    out.add_argument("--force", action="store_true", help="make the file even if a good one is there")
    return out


def run(argv: Sequence[str] | None = None) -> None:
    """Make what the command line asks for."""
    args = parser().parse_args(argv)
    if args.seed < 0 or (args.n_tasks is not None and args.n_tasks < 1):
        raise UsageError("--seed must be 0 or more and --n_tasks 1 or more")
    if args.archive is not None:
        for path in unpack(args.archive, args.out_dir):
            print(f"{path}: unpacked")
        return
    data: Dataset | None = None
    for kind, n_tasks in KINDS.items():
        path = args.out_dir / f"mnist_{kind}.pt"
        if args.dataset not in ("all", kind):
            continue
        if not args.force and _is_good(path):
            print(f"{path}: is there already (--force makes it again)")
            continue
        data = data or base_images(args.source, args.raw)
        make(kind, data, path, dense=args.format == "dense", n_tasks=args.n_tasks or n_tasks, seed=args.seed)
        size = path.stat().st_size / 1e6
        print(f"{path}: {args.n_tasks or n_tasks} tasks from {data.name} ({data.licence}), {size:.1f} MB")


def _is_good(path: Path) -> bool:
    try:
        load_tasks(path)
    except DataError:
        return False
    return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    try:
        run(argv)
    except (UsageError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
