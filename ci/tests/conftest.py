"""The tools under test are scripts beside each other, not a package: put their folders on the path."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "ci"), str(ROOT / "docker" / "tools")]
