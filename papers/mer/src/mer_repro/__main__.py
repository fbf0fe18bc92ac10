"""`python -m mer_repro`: the original's program, from anywhere."""

from mer_repro.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
