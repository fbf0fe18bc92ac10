"""PPO baselines; see README.md.  The program is hvcl_repro.baselines.cli."""

from hvcl_repro.baselines.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
