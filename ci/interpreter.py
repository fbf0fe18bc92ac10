"""Which Python 3.11 this machine has.  Every Python 3 must be able to read this file, as run_nox.py."""

import os
import subprocess

IS_3_11 = "import sys; sys.exit(sys.version_info[:2] != (3, 11))"


def interpreter() -> str:
    """The path of the first python3.11 on PATH that is one; empty if there is none."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        candidate = os.path.join(folder, "python3.11")
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            # A version manager's stand-in exists even where the version is not installed: ask it.
            quiet = subprocess.DEVNULL
            if subprocess.call([candidate, "-c", IS_3_11], stdout=quiet, stderr=quiet) == 0:
                return candidate
    return ""
