#!/usr/bin/env bash
# Every check there is: style, types, the archive, unit to integration tests. Sets itself up in .venv/; Chromium and
# Prometheus come from Debian where they are missing and root runs this.
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
# The review page in a real browser, the alert rules in a real Prometheus.
ensure_debian "$ROOT/.venv/debian.log" "${CLINCODE_CHROMIUM:-chromium}" chromium fonts-dejavu-core
ensure_debian "$ROOT/.venv/debian.log" promtool prometheus
say "pytest"
"$PYTHON" -m pytest "$@"
say "all checks passed in $SECONDS s"
