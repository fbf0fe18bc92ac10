"""One fuzz target: `python ci/faults/fuzz/target.py READER [libFuzzer's flags]`; needs atheris.

The readers are those of the other campaigns (faults.reader_cases_core, faults.reader_cases_papers).  A
reader may raise what it says it raises; anything else ends the run, and libFuzzer keeps the file.
"""

import atexit
import contextlib
import io
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

CI = Path(__file__).resolve().parents[2]
PACKAGES = [
    "clrepro",
    "mer_repro",
    "ta_agem_repro",
    "tag_repro",
    "rewire_repro",
    "tomllib",
    "yaml",
    "tarfile",
    "zipfile",
]


def main(argv: list[str]) -> None:
    """Fuzz the reader argv[1]; ends the process."""
    import atheris

    sys.path.insert(0, str(CI))
    from faults.commands import SOURCES

    sys.path[1:1] = SOURCES
    with atheris.instrument_imports(include=PACKAGES):
        from faults.reader_cases_papers import every

        subject = next(one for one in every() if one.name == argv[1])
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    place = subject.make(folder)
    seeds = folder / "seeds"
    seeds.mkdir()
    good = place.read_bytes()
    (seeds / "valid").write_bytes(subject.opened(good))
    warnings.simplefilter("ignore")

    def one(data: bytes) -> None:
        place.write_bytes(subject.sealed(data))
        with contextlib.suppress(*subject.errors), contextlib.redirect_stdout(io.StringIO()):
            subject.read(place)

    atheris.Setup([argv[0], *argv[2:], "-max_len=65536", "-print_final_stats=1", str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
