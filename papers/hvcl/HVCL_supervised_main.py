"""The supervised experiments; see README.md.  The program is hvcl_repro.supervised.cli."""

from hvcl_repro.supervised.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
