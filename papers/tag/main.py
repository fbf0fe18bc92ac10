"""Command line of TAG and what it is compared with; see README.md.  The program is tag_repro.tag.cli."""

try:
    from tag_repro.tag.cli import main
except ModuleNotFoundError as error:
    raise SystemExit(
        f"error: {error}; run 'pip install -e .[tag]' in the repository, or 'nox -s env-tag'"
    ) from None

if __name__ == "__main__":
    raise SystemExit(main())
