"""`python -m hvcl_repro.supervised`: the original's program, from anywhere."""

from hvcl_repro.supervised.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
