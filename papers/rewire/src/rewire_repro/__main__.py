"""`python -m rewire_repro`: the original's program, from anywhere."""

from rewire_repro.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
