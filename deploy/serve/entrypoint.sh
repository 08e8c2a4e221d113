#!/bin/sh
# Run TorchServe as a container's first process, with the archive of CLINCODE_MODEL_STORE. All that it writes goes to
# CLINCODE_RUN_DIR (keys, logs) and TMPDIR (the unpacked archive, the workers' sockets): the rest may be read-only.
set -eu
umask 077 # keys and logs are the owner's
: "${CLINCODE_RUN_DIR:=/run/clincode}" "${CLINCODE_MODEL_STORE:=/models}" "${CLINCODE_CONFIG:=/opt/clincode/config}"
: "${TMPDIR:=/tmp}"
export CLINCODE_RUN_DIR TMPDIR TEMP="$TMPDIR" TS_METRICS_CONFIG="$CLINCODE_CONFIG/metrics.yaml"
unset PYTHONPATH # would come before the archive's own code

archive="$CLINCODE_MODEL_STORE/bert-clinical-ner.mar"
[ -f "$archive" ] || {
  echo "error: $archive is not there: fetch a version (clincode registry fetch) or take an image with a model" >&2
  exit 1
}
mkdir -p "$CLINCODE_RUN_DIR/logs"
cd "$CLINCODE_RUN_DIR"
# What an earlier run of this container left: a key that no longer fits would be taken for the current one.
rm -rf key_file.json "$TMPDIR/.model_server.pid" "$TMPDIR/models" "$TMPDIR"/.ts.sock.*

# Its launcher does not pass signals on to Java, so this shell does. The configuration may be a mounted one.
# As scripts/serve.sh does: threads that spin take the cores from the others.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
python -m ts.model_server --start --foreground --no-config-snapshots --model-store "$CLINCODE_MODEL_STORE" \
  --ts-config "${TS_CONFIG_FILE:-$CLINCODE_CONFIG/config.properties}" --log-config "$CLINCODE_CONFIG/log4j2.xml" &
launcher=$!
stop() {
  stopping=1
  kill -TERM "$(cat "$TMPDIR/.model_server.pid")" 2>/dev/null || kill -TERM "$launcher"
}
stopping=""
trap stop TERM INT
wait "$launcher" || status=$?
[ -z "$stopping" ] || wait "$launcher" || true
rm -f key_file.json
# TorchServe ends only when it is told to; by itself it is a fault, whatever its launcher says.
[ -n "$stopping" ] && exit 0
echo "error: TorchServe has stopped by itself" >&2
exit "$([ "${status:-0}" -eq 0 ] && echo 1 || echo "$status")"
