#!/usr/bin/env bash
# From a fresh clone to a coded note and a review page: a real TorchServe, and the gateway in front of it.
#
#   scripts/quickstart.sh           set everything up, serve, answer a sample note; harmless to repeat
#   scripts/quickstart.sh --stop    stop both servers
#   scripts/quickstart.sh --help
#
# CLINCODE_MODEL=bert-clinical-ner-v1.0.0-base scripts/quickstart.sh serves the larger model: more right, and slower.
# Needs Linux, Python 3.11, curl and a package registry. Everything it writes goes into .venv/, build/, model_store/ and
# .run/. Other ports: CLINCODE_GATEWAY_PORT, and see scripts/serve.sh. CLINCODE_TORCH_INDEX: an index with torch's CPU
# builds, where the registry has only the CUDA build.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SCRIPTS="$ROOT/scripts"
export PYTHON

case "${1:-}" in
  '') ;;
  --stop)
    "$SCRIPTS/gateway.sh" stop
    exec "$SCRIPTS/serve.sh" stop
    ;;
  --help)
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    exit
    ;;
  *) die "unknown option '$1'; try --help" ;;
esac

command -v curl >/dev/null || die "curl is needed"
ensure_venv "$ROOT/.venv" "$ROOT/requirements/serve.lock"
PYTHON="$ROOT/.venv/bin/python"
"$SCRIPTS/archive.sh"
"$SCRIPTS/serve.sh" start
"$SCRIPTS/serve.sh" wait

"$SCRIPTS/gateway.sh" start

# shellcheck source=/dev/null
source "${CLINCODE_RUN_DIR:-$ROOT/.run}/gateway.env"
export CLINCODE_URL CLINCODE_API_KEY
say "the answer to scripts/sample_request.json:"
curl --silent --show-error --fail --header @- --header 'Content-Type: application/json' \
  --data "@$SCRIPTS/sample_request.json" "$CLINCODE_URL/api/v1/predict" <<<"Authorization: Bearer $CLINCODE_API_KEY" |
  "$PYTHON" -m json.tool --no-ensure-ascii
"$SCRIPTS/gateway.sh" clincode gateway samples >&2

cat >&2 <<END

==> Serving. Done in $SECONDS s.

  review page   $CLINCODE_URL/review
  log in once   $("$SCRIPTS/gateway.sh" clincode gateway login --user coder --role coder)
                (another: scripts/gateway.sh clincode gateway login --user NAME --role coder|supervisor|admin)

  ask it        source .run/gateway.env
                curl -H "Authorization: Bearer \$CLINCODE_API_KEY" -H 'Content-Type: application/json' \\
                  --data @scripts/sample_request.json \$CLINCODE_URL/api/v1/predict

  TorchServe    $("$SCRIPTS/serve.sh" address inference) (inference), $("$SCRIPTS/serve.sh" address management) (management)
  settings      .run/gateway.env, .run/secrets/; logs in .run/logs/
  stop          scripts/quickstart.sh --stop
END
