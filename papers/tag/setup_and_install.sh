#!/usr/bin/env bash
# Install what the programs of this folder need into the active environment, in the versions that were tried.
#
#   ./setup_and_install.sh [--without-tensorflow]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
extras=tag,tag-tf
case ${1-} in
'') ;;
--without-tensorflow) extras=tag ;;
*)
  echo "usage: $0 [--without-tensorflow]" >&2
  exit 2
  ;;
esac
pins=$(mktemp)
trap 'rm -f "$pins"' EXIT
python - "$extras" >"$pins" <<'END'
import sys
from pathlib import Path

sys.path.insert(0, "ci")
from constraints import constraints

print("\n".join(constraints(Path("poetry.lock"), sys.argv[1].split(","))))
END
python -m pip install --constraint "$pins" -e ".[$extras]"
echo "Setup was successful!"
