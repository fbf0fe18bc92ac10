"""`python -m hvcl_repro.baselines`: the original's program, from anywhere."""

from hvcl_repro.baselines.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
