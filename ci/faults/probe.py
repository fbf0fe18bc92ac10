"""A child process that hands one file after another to a reader and tells what came of each.

It has little memory and little time for each file; the parent (`readers.py`) starts it again behind a file
that killed it.
"""

import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.mutations import twisted
from faults.reader_case import AUTHORED, EVIDENCE, Subject, digest
from faults.reader_cases_papers import every

CASE_SECONDS = 20
PIPE = "a pipe"
SPECIAL = (PIPE, "/dev/zero", "/dev/urandom", "/dev/tty", "/proc/self/mem")  # in the place of a reader's file
MEMORY = 2 << 30  # beyond what the process has after its imports


class _TooLong(BaseException):
    pass


def main(argv: list[str]) -> int:
    """Args: subject, mode (hostile or corrupt), the folder to work in, the first case, how many, its seed."""
    name, mode, work, first, count, seed = argv
    subject = next(one for one in every() if one.name == name)
    folder = Path(work)
    warnings.simplefilter("ignore")
    _limit()
    signal.signal(signal.SIGALRM, _alarm)
    cases = hostile_cases(subject, folder) if mode == "hostile" else corrupt_cases(subject, folder, int(seed))
    want = digest(subject.read(subject.make(_empty(folder / "valid"))))
    canary = folder / "canary"
    for number, case, path in cases(int(first), int(count)):
        print(json.dumps({"begin": number, "case": case}), flush=True)
        began = time.monotonic()
        result = _try(subject, path, want, mode)
        executed = canary.exists()
        canary.unlink(missing_ok=True)
        taken = round(time.monotonic() - began, 3)
        print(json.dumps({"end": number, "result": result, "executed": executed, "s": taken}), flush=True)
    return 0


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _alarm(*_: object) -> None:
    raise _TooLong


def _try(subject: Subject, path: Path, want: str, mode: str) -> str:
    """refused, same, other (allowed), or what went wrong after a "!"."""
    signal.setitimer(signal.ITIMER_REAL, CASE_SECONDS)
    try:
        content = subject.read(path)
        found = "" if mode == "hostile" else digest(content)
    except subject.errors as problem:
        text = str(problem)
        return "refused" if 0 < len(text) < 5000 else f"!message of {len(text)} characters"
    except _TooLong:
        return f"!longer than {CASE_SECONDS} s"
    except BaseException as problem:
        return f"!{type(problem).__name__}: {str(problem)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if found == want:
        return "same"
    if mode == "hostile" or subject.guard in (EVIDENCE, AUTHORED):
        return "other"
    return "!taken for a good file, with other content"


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def hostile_cases(subject: Subject, folder: Path) -> Any:
    """Every file of the corpus in the place of the valid file, inside of it where it holds parts, and the
    valid file with values replaced.
    """
    corpus = sorted(folder.with_name("corpus").iterdir())
    ways = [False, True] if subject.pack else [False]
    plan: list[tuple[Any, bool]] = [(path, packed) for packed in ways for path in corpus]
    good = subject.make(_empty(folder / "case")).read_bytes()
    # A sealed file refuses every change: here it is opened, as a forger would.
    plan += [(case, False) for case in twisted(subject.opened(good))]
    plan += [(case, False) for case in SPECIAL]

    def cases(first: int, count: int) -> Iterator[tuple[int, str, Path]]:
        place = subject.make(_empty(folder / "case"))
        for number, (source, packed) in enumerate(plan[first : first + count], first):
            if source in SPECIAL:
                place.unlink()
                if source == PIPE:
                    os.mkfifo(place)
                else:
                    place.symlink_to(source)
                yield number, f"in its place {source}", place
                place.unlink()
                place.touch()
                continue
            if isinstance(source, tuple):
                name, data = source
                place.write_bytes(data)
                yield number, name, place
                continue
            if packed:
                if source.stat().st_size > 1 << 24:
                    continue
                assert subject.pack is not None
                place = subject.pack(_empty(folder / "case"), source.read_bytes())
            else:
                shutil.copyfile(source, place)
            yield number, f"{source.name}{' (packed)' if packed else ''}", place

    return cases


def corrupt_cases(subject: Subject, folder: Path, seed: int) -> Any:
    """Files cut and bits flipped: every byte near the beginning and the end, 64 regions and random places."""
    place = subject.make(_empty(folder / "case"))
    good = place.read_bytes()
    plan = corruptions(len(good), seed)

    def cases(first: int, count: int) -> Iterator[tuple[int, str, Path]]:
        for number, (kind, at, bit) in enumerate(plan[first : first + count], first):
            data = bytearray(good)
            if kind == "cut":
                del data[at:]
            else:
                data[at] ^= 1 << bit
            place.write_bytes(data)
            yield number, f"{kind} at {at} of {len(good)}" + (f", bit {bit}" if kind == "flip" else ""), place

    return cases


REGIONS, EDGE, RANDOM = 64, 256, 128


def corruptions(n: int, seed: int) -> list[tuple[str, int, int]]:
    """(cut or flip, position, bit) for a file of n bytes."""
    import random

    rng = random.Random(seed)
    places = set(range(min(EDGE, n))) | set(range(max(0, n - EDGE // 2), n))
    for region in range(min(REGIONS, n)):  # one place at least in each
        low, high = region * n // REGIONS, max((region + 1) * n // REGIONS, region * n // REGIONS + 1)
        places.add(min(rng.randrange(low, high), n - 1))
    places |= {rng.randrange(n) for _ in range(RANDOM)}
    flips = [("flip", at, rng.randrange(8)) for at in sorted(places)]
    return flips + [("cut", at, 0) for at in sorted(places)]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
