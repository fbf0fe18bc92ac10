"""Fetches the official MNIST files and makes all task files; see README.md.  The program is
mer_repro.get_data.
"""

from mer_repro.get_data import main

if __name__ == "__main__":
    raise SystemExit(main(["all", "--source", "download"]))
