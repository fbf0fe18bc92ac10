"""`python -m ta_agem_repro`: the original's program, from anywhere."""

from ta_agem_repro.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
