#!/usr/bin/env bash
# Make the secrets of deploy/compose.yaml in deploy/secrets/, each once: what is there stays.
#
# The folder is the owner's alone; the files in it are readable, for containers see them as another user.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
umask 077
mkdir -p secrets

# make NAME: a file with what comes in, where there is none.
make() {
  if [[ -s "secrets/$1" ]]; then
    cat >/dev/null
  else
    cat >"secrets/$1"
    printf '==> deploy/secrets/%s\n' "$1" >&2
  fi
  chmod 644 "secrets/$1"
}
random() { head -c 48 /dev/urandom | base64 -w 0 | tr '+/' '-_'; }

random | make clincode_secret_key
random | make postgres_password
printf 'postgresql://clincode:%s@postgres:5432/clincode' "$(<secrets/postgres_password)" | make clincode_database_url
random | make grafana_password
# Filled in when the gateway runs: clincode gateway key create --name prometheus --scope metrics
[[ -e secrets/prometheus_key ]] || printf '' | make prometheus_key
