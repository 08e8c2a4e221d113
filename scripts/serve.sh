#!/usr/bin/env bash
# Run TorchServe with the built archive.
#
#   scripts/serve.sh start          start it, or leave it alone where it already serves this archive
#   scripts/serve.sh wait           wait until a worker is ready and a prediction succeeds
#   scripts/serve.sh stop           stop it
#   scripts/serve.sh key WHICH      print the current key: inference, management or API
#   scripts/serve.sh rotate WHICH   have a new key made: inference or management
#   scripts/serve.sh address WHICH  print an address: inference, management or metrics
#
# Everything the server writes goes into .run/ (or $CLINCODE_RUN_DIR): logs/ and logs.previous/, key_file.json, tmp/.
# Addresses come from config/config.properties or from TorchServe's variables, e.g.
# TS_INFERENCE_ADDRESS=http://0.0.0.0:9080.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NAME=bert-clinical-ner
RUN="${CLINCODE_RUN_DIR:-$ROOT/.run}"
STORE="${CLINCODE_MODEL_STORE:-$ROOT/model_store}"
CONFIG="$ROOT/config/config.properties"
STATE="$RUN/started" # checksum of the archive, then the settings that the server was started with
SETTINGS=(inference_address management_address metrics_address grpc_inference_port grpc_management_port)
PYTHON="$(project_python)"
export PYTHON

# TorchServe's launcher keeps its pid file in $TMPDIR, so each checkout needs its own; the workers' sockets stand there
# too, and a socket's path holds no more than 107 bytes.
TMP="$RUN/tmp"
((${#TMP} <= 85)) || TMP="/tmp/clincode-$(printf '%s' "$RUN" | sha256sum | cut -c 1-16)"

# setting KEY: as the environment, the running server or the configuration file says, in this order.
setting() {
  local variable="TS_${1^^}" files=("$CONFIG")
  if [[ -n "${!variable:-}" ]]; then
    printf '%s\n' "${!variable}"
  else
    [[ ! -f "$STATE" ]] || files+=("$STATE")
    sed -n "s/^$1=//p" "${files[@]}" | tail -n 1
  fi
}

# address WHICH: where a client on this machine reaches it.
address() { setting "$1_address" | sed 's#//0\.0\.0\.0:#//127.0.0.1:#'; }

server_pid() {
  local pid
  pid="$(cat "$TMP/.model_server.pid" 2>/dev/null)" || return 1
  # The number may belong to another process by now.
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q org.pytorch.serve.ModelServer && printf '%s\n' "$pid"
}

key() {
  "$PYTHON" -c 'import json, sys; keys = json.load(open(sys.argv[1]))[sys.argv[2]]; print(keys["key"])' \
    "$RUN/key_file.json" "$1" 2>/dev/null || die "no key '$1': the server is not running (scripts/quickstart.sh starts it)"
}

# call KEY-NAME CURL-ARGUMENTS…: with the key in a header that does not show in the list of processes.
call() {
  local token
  token="$(key "$1")"
  shift
  curl --silent --show-error --max-time 130 --header @- "$@" <<<"Authorization: Bearer $token"
}

refuse_taken_ports() {
  local taken
  taken="$(for name in "${SETTINGS[@]}"; do setting "$name"; done | "$PYTHON" "$ROOT/scripts/taken_ports.py")"
  [[ -z "$taken" ]] || die "taken by another program: $taken; stop it, or choose other ports (TS_INFERENCE_ADDRESS," \
    "TS_MANAGEMENT_ADDRESS, TS_METRICS_ADDRESS, TS_GRPC_INFERENCE_PORT, TS_GRPC_MANAGEMENT_PORT)"
}

start() {
  local archive="$STORE/$NAME.mar" sum pid name
  [[ -f "$archive" ]] || die "$archive is not there: run scripts/archive.sh"
  sum="$(checksum "$archive")"
  if pid="$(server_pid)"; then
    if [[ "$(head -n 1 "$STATE" 2>/dev/null)" == "$sum" ]]; then
      say "TorchServe is running already (process $pid)"
      return
    fi
    say "the archive has changed since TorchServe was started"
    stop
  fi
  rm -f "$STATE"
  refuse_taken_ports
  ensure_java "$PYTHON"
  umask 077 # keys and logs are the owner's
  rm -rf "$TMP" "$RUN/key_file.json" "$RUN/logs.previous"
  [[ ! -d "$RUN/logs" ]] || mv "$RUN/logs" "$RUN/logs.previous"
  mkdir -p "$TMP" "$RUN/logs"
  {
    printf '%s\n' "$sum"
    for name in "${SETTINGS[@]}"; do printf '%s=%s\n' "$name" "$(setting "$name")"; done
  } >"$STATE.new"
  say "starting TorchServe on $(address inference)"
  (
    cd "$RUN"
    unset TS_CONFIG_FILE
    # OpenMP's threads spin for a while after each piece of work, and take the cores from everything else meanwhile:
    # on two cores, sleeping instead gave a third more notes a second (docs/performance.md).
    export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
    TMPDIR="$TMP" TEMP="$TMP" TS_METRICS_CONFIG="$ROOT/config/metrics.yaml" \
      nohup "$PYTHON" -m ts.model_server --start --no-config-snapshots --model-store "$STORE" --ts-config "$CONFIG" \
      --log-config "$ROOT/config/log4j2.xml" >logs/console.log 2>&1 </dev/null
  )
  mv "$STATE.new" "$STATE"
}

ready() {
  call management "$(address management)/models/$NAME" --fail 2>/dev/null | grep -q '"status": "READY"' || return 1
  call inference "$(address inference)/predictions/$NAME" --fail --output /dev/null \
    --header 'Content-Type: application/json' --data "@$ROOT/scripts/sample_request.json" 2>/dev/null
}

wait_until_ready() {
  local limit="${CLINCODE_START_SECONDS:-300}" next=10
  SECONDS=0
  say "waiting for a ready worker"
  until [[ -f "$RUN/key_file.json" ]] && ready; do
    sleep 1
    server_pid >/dev/null || fail "TorchServe has stopped"
    ! grep -q 'Backend worker process died' "$RUN/logs/model_log.log" 2>/dev/null || fail "the worker has died"
    ((SECONDS < limit)) || fail "no ready worker after $limit s"
    if ((SECONDS >= next)); then
      printf '    %d s: the worker loads the model and warms up\n' "$SECONDS" >&2
      next=$((SECONDS + 10))
    fi
  done
  say "ready after $SECONDS s"
}

fail() {
  local cause
  cause="$(grep -ohE '[A-Za-z]+(Error|Exception): .*' "$RUN/logs/model_log.log" "$RUN/logs/console.log" 2>/dev/null |
    tail -n 1 || true)"
  die "$1${cause:+ ($cause)}; the logs are in $RUN/logs"
}

stop() {
  local pid
  if pid="$(server_pid)"; then
    say "stopping TorchServe (process $pid)"
    (cd "$RUN" && TMPDIR="$TMP" "$PYTHON" -m ts.model_server --stop --foreground >&2)
  else
    say "TorchServe is not running"
  fi
  rm -rf "$TMP" "$RUN/key_file.json" "$STATE"
}

case "${1:-}" in
  start) start ;;
  wait) wait_until_ready ;;
  stop) stop ;;
  key) key "${2:?which key: inference, management or API}" ;;
  rotate)
    call API "$(address management)/token?type=${2:?which key: inference or management}" --fail >/dev/null
    say "new $2 key in $RUN/key_file.json"
    ;;
  address) address "${2:?which address: inference, management or metrics}" ;;
  *)
    sed -n '2,13s/^# \{0,1\}//p' "$0"
    [[ "${1:-}" == --help ]] || exit 2
    ;;
esac
