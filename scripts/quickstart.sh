#!/usr/bin/env bash
# From a fresh clone to coded entities of a real TorchServe.
#
#   scripts/quickstart.sh           set everything up, serve, answer a sample note; harmless to repeat
#   scripts/quickstart.sh --stop    stop the server
#   scripts/quickstart.sh --help
#
# CLINCODE_MODEL=bert-clinical-ner-v1.0.0-base scripts/quickstart.sh serves the larger model: more right, and slower.
# Needs Linux, Python 3.11, curl and a package registry. Everything it writes goes into .venv/, build/, model_store/ and
# .run/. Other ports: see scripts/serve.sh. CLINCODE_TORCH_INDEX: an index with torch's CPU builds, where the registry
# has only the CUDA build.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
SCRIPTS="$ROOT/scripts"
export PYTHON

case "${1:-}" in
  '') ;;
  --stop)
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

URL="$("$SCRIPTS/serve.sh" address inference)/predictions/bert-clinical-ner"
say "the answer to scripts/sample_request.json:"
curl --silent --show-error --fail --header @- --header 'Content-Type: application/json' \
  --data "@$SCRIPTS/sample_request.json" "$URL" <<<"Authorization: Bearer $("$SCRIPTS/serve.sh" key inference)" |
  "$PYTHON" -m json.tool --no-ensure-ascii

cat >&2 <<END

==> Serving. Done in $SECONDS s. Ask it yourself:

  curl -H "Authorization: Bearer \$(scripts/serve.sh key inference)" -H 'Content-Type: application/json' \\
    --data @scripts/sample_request.json $URL

  inference   $("$SCRIPTS/serve.sh" address inference)
  management  $("$SCRIPTS/serve.sh" address management)
  metrics     $("$SCRIPTS/serve.sh" address metrics)/metrics
  keys, logs  .run/key_file.json, .run/logs/
  stop        scripts/quickstart.sh --stop
END
