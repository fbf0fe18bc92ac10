"""`python -m clrepro.cli` is `cl-repro`."""

from clrepro.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
