#!/usr/bin/env bash
# Build model_store/bert-clinical-ner.mar: a self-contained model archive with weights, terminology and the core's code.
#
#   scripts/archive.sh [MODEL_DIR]
#
# MODEL_DIR is a release, a training checkpoint or a Hugging Face folder of a BERT-family token classifier; by default
# what CLINCODE_MODEL names (a folder, or a release in model_store/ such as bert-clinical-ner-v1.0.0-base), else the newest
# release in model_store/. Nothing is done where the archive is up to date. CLINCODE_MODEL_STORE names another folder for
# the archive, PYTHON another interpreter.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAME=bert-clinical-ner
[[ "${1:-}" != --help ]] || {
  sed -n '2,9s/^# \{0,1\}//p' "$0"
  exit
}
PYTHON="$(project_python)"
STORE="${CLINCODE_MODEL_STORE:-$ROOT/model_store}"
ARCHIVE="$STORE/$NAME.mar"
MODEL="${1:-${CLINCODE_MODEL:-}}"
[[ -z "$MODEL" || -d "$MODEL" || ! -d "$ROOT/model_store/$MODEL" ]] || MODEL="$ROOT/model_store/$MODEL"
[[ -z "$MODEL" || -d "$MODEL" ]] || die "$MODEL: no such folder, and no release in model_store/"
MODEL="${MODEL:+$(realpath -- "$MODEL")}"
cd "$ROOT"
MODEL="${MODEL:-$("$PYTHON" -c 'from cli.models import newest_release; print(newest_release())' 2>/dev/null)}" ||
  die "no release in model_store/, or clincode is not installed for $PYTHON; run scripts/quickstart.sh or name a MODEL_DIR"

ensure_encoder "$PYTHON" "$MODEL"

# unpack_member NAME: prints a file of the archive, or nothing.
unpack_member() {
  "$PYTHON" -c 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]).decode())' "$ARCHIVE" "$1" \
    2>/dev/null || true
}

mkdir -p build "$STORE"
fingerprint="$(find handler training config/model-config.yaml requirements/serve.lock "$MODEL" -type f \
  ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)"
fingerprint="${fingerprint%% *}"
# The archive carries the fingerprint of what it was made from; one that is damaged has none.
if [[ "$(unpack_member source.sha256)" == "$fingerprint" ]]; then
  say "$ARCHIVE is up to date"
  exit
fi

# Each build has a folder of its own; the archiver, too, wipes $TMPDIR/<model name>.
WORK="$(mktemp -d "$ROOT/build/archive.XXXXXX")"
trap 'rm -rf "$WORK"' EXIT
mkdir "$WORK/tmp" "$WORK/out"

say "1/3 bundle of $MODEL"
"$PYTHON" -m training.bundle "$MODEL" "$WORK/mar"
say "2/3 the core's code"
cp -R handler/clincode "$WORK/mar/clincode"
find "$WORK/mar" -name __pycache__ -prune -exec rm -rf {} +
printf '%s' "$fingerprint" >"$WORK/mar/source.sha256"
# The archiver puts the same two there; listed like all else, a changed byte of them is refused as well.
cp handler/clincode_handler.py config/model-config.yaml "$WORK/mar/"
"$PYTHON" -m clincode.integrity "$WORK/mar"
version="$("$PYTHON" -c 'import json, sys; print(json.load(open(sys.argv[1]))["version"])' "$WORK/mar/clincode.json")"
say "3/3 archive of $version"
# zip-store: weights in FP16 and a compressed terminology hardly get smaller, they only take longer to unpack.
TMPDIR="$WORK/tmp" "$PYTHON" -W ignore -m model_archiver.model_packaging --model-name "$NAME" --version "${version#"$NAME-v"}" \
  --handler handler/clincode_handler.py --extra-files "$WORK/mar" --config-file config/model-config.yaml \
  --archive-format zip-store --export-path "$WORK/out"
# The store may be on another file system, and a rename within one is all or nothing.
mv "$WORK/out/$NAME.mar" "$STORE/.$NAME-$$.mar"
mv -f "$STORE/.$NAME-$$.mar" "$ARCHIVE"
say "$ARCHIVE: $(du -h "$ARCHIVE" | cut -f 1) in $SECONDS s"
