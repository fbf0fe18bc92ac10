"""`python -m tag_repro`: the original's program, from anywhere."""

from tag_repro.tag.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
