"""The name that the original gave SAC_main.py later; see README.md."""

from SAC_main import main

if __name__ == "__main__":
    raise SystemExit(main())
