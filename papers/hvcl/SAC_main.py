"""Continual reinforcement learning; see README.md.  The program is hvcl_repro.rl.cli."""

from hvcl_repro.rl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
