"""`python -m tag_repro.stable_sgd`: the original's program, from anywhere."""

from tag_repro.stable_sgd.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
