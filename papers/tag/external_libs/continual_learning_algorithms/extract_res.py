"""Tables of finished runs; see README.md.  The program is tag_repro.tensorflow.summary."""

try:
    from tag_repro.tensorflow.summary import main
except ModuleNotFoundError as error:
    raise SystemExit(f"error: {error}; run 'pip install -e .[tag-tf]' in the repository") from None

if __name__ == "__main__":
    raise SystemExit(main())
