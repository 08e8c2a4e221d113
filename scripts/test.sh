#!/usr/bin/env bash
# Every check there is: style, types, the archive, unit to integration tests. Sets itself up in .venv/; the browser for
# the tests of the review page comes from Debian where there is none and root runs this.
#
#   scripts/test.sh [PYTEST-ARGUMENT…]
#
# Tests on the corpora need CLINCODE_DATA (default: ../shared/data) and are skipped where it is absent.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

ensure_venv "$ROOT/.venv" "$ROOT/requirements/dev.lock"
PYTHON="$ROOT/.venv/bin/python"
export PYTHON

say "ruff"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
say "mypy"
"$PYTHON" -m mypy
scripts/archive.sh
ensure_chromium "$ROOT/.venv/chromium.log"
say "pytest"
"$PYTHON" -m pytest "$@"
say "all checks passed in $SECONDS s"
