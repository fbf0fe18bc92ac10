"""`python -m hvcl_repro`: the original's program, from anywhere."""

from hvcl_repro.rl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
