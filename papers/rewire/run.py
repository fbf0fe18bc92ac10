"""Command line of the RewireNeuron experiments; see README.md.  The program is rewire_repro.cli."""

try:
    from rewire_repro.cli import main
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error}; run 'pip install -e .[rewire]' in the repository, or 'nox -s env-rewire'"
    ) from None

if __name__ == "__main__":
    raise SystemExit(main())
