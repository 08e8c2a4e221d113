#!/usr/bin/env bash
# Run the gateway in front of the TorchServe that scripts/serve.sh runs.
#
#   scripts/gateway.sh start           start it, or leave it alone where it runs
#   scripts/gateway.sh stop            stop it
#   scripts/gateway.sh restart         stop and start it
#   scripts/gateway.sh clincode ARG…   run `clincode ARG…` with this deployment's settings, e.g.
#                                      scripts/gateway.sh clincode gateway login --user maria --role supervisor
#
# Everything it writes goes into .run/ (or $CLINCODE_RUN_DIR): gateway.db, secrets/, gateway.env, drift.npz,
# logs/gateway.log.
# Settings are CLINCODE_… variables (gateway/settings.py); CLINCODE_GATEWAY_PORT is 8000 unless told otherwise.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

RUN="${CLINCODE_RUN_DIR:-$ROOT/.run}"
PYTHON="$(project_python)"
export PYTHON
PID_FILE="$RUN/gateway.pid"
umask 077 # secrets, notes and logs are the owner's

# settings: what this deployment has, where the environment says nothing else.
settings() {
  mkdir -p "$RUN/secrets" "$RUN/logs"
  [[ -s "$RUN/secrets/clincode_secret_key" ]] ||
    "$PYTHON" -c 'import secrets; print(secrets.token_urlsafe(48), end="")' >"$RUN/secrets/clincode_secret_key"
  export CLINCODE_SECRETS_DIR="${CLINCODE_SECRETS_DIR:-$RUN/secrets}"
  export CLINCODE_DATABASE_URL="${CLINCODE_DATABASE_URL:-sqlite:///$RUN/gateway.db}"
  export CLINCODE_INFERENCE_KEY_FILE="${CLINCODE_INFERENCE_KEY_FILE:-$RUN/key_file.json}"
  export CLINCODE_INFERENCE_URL="${CLINCODE_INFERENCE_URL:-$("$ROOT/scripts/serve.sh" address inference)/predictions/bert-clinical-ner}"
  export CLINCODE_GATEWAY_PORT="${CLINCODE_GATEWAY_PORT:-8000}"
  export CLINCODE_DRIFT_REFERENCE="${CLINCODE_DRIFT_REFERENCE:-$ROOT/config/drift-reference.json}"
  export CLINCODE_DRIFT_STATE="${CLINCODE_DRIFT_STATE:-$RUN/drift.npz}"
  export CLINCODE_DRIFT_LABELS="${CLINCODE_DRIFT_LABELS:-$RUN/drift-labels}"
  URL="http://${CLINCODE_GATEWAY_HOST:-127.0.0.1}:$CLINCODE_GATEWAY_PORT"
}

clincode() { "$PYTHON" -m cli "$@"; }

gateway_pid() {
  local pid
  pid="$(cat "$PID_FILE" 2>/dev/null)" || return 1
  # The number may belong to another process by now.
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'cli gateway serve' && printf '%s\n' "$pid"
}

start() {
  local pid
  settings
  if pid="$(gateway_pid)"; then
    say "the gateway is running already (process $pid)"
    return
  fi
  local taken
  taken="$(printf '%s\n' "$URL" | "$PYTHON" "$ROOT/scripts/taken_ports.py")"
  [[ -z "$taken" ]] || die "taken by another program: $taken; stop it, or choose another port (CLINCODE_GATEWAY_PORT)"
  say "starting the gateway on $URL"
  nohup "$PYTHON" -m cli gateway serve >>"$RUN/logs/gateway.log" 2>&1 </dev/null &
  printf '%s\n' "$!" >"$PID_FILE"
  until curl --silent --fail --output /dev/null --max-time 2 "$URL/health/live"; do
    gateway_pid >/dev/null || fail
    sleep 0.2
    ((SECONDS < 120)) || die "the gateway does not answer after 120 s; its log is $RUN/logs/gateway.log"
  done
  write_env
}

fail() {
  tail -n 3 "$RUN/logs/gateway.log" >&2
  die "the gateway has stopped; its log is $RUN/logs/gateway.log"
}

# write_env: CLINCODE_URL and CLINCODE_API_KEY for scripts, with a key that works.
write_env() {
  local key=""
  [[ ! -f "$RUN/gateway.env" ]] || key="$(sed -n 's/^CLINCODE_API_KEY=//p' "$RUN/gateway.env")"
  if [[ -z "$key" ]] || ! curl --silent --fail --output /dev/null --header @- "$URL/openapi.json" <<<"Authorization: Bearer $key"; then
    key="$(clincode gateway key create --name "quickstart-$(date +%s)" --role service 2>/dev/null)" || die "no API key could be made"
  fi
  printf 'CLINCODE_URL=%s\nCLINCODE_API_KEY=%s\n' "$URL" "$key" >"$RUN/gateway.env.new"
  mv "$RUN/gateway.env.new" "$RUN/gateway.env"
}

stop() {
  local pid
  if ! pid="$(gateway_pid)"; then
    say "the gateway is not running"
    return
  fi
  say "stopping the gateway (process $pid)"
  kill "$pid"
  for _ in $(seq 150); do
    gateway_pid >/dev/null || break
    sleep 0.1
  done
  ! gateway_pid >/dev/null || kill -9 "$pid"
  rm -f "$PID_FILE"
}

case "${1:-}" in
  start) start ;;
  stop) stop ;;
  restart)
    stop
    start
    ;;
  clincode)
    shift
    settings
    clincode "$@"
    ;;
  *)
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    [[ "${1:-}" == --help ]] || exit 2
    ;;
esac
