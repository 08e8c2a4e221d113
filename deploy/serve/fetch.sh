#!/bin/sh
# Bring a version of the model from the model store, check every file, and pack it as the archive that TorchServe reads.
#
#   fetch.sh VERSION STORE-URL     into CLINCODE_MODEL_STORE (/models)
#
# CLINCODE_MODEL_SHA256, where it is set, is the digest that `clincode registry publish` printed, and must be the
# version's. Works in TMPDIR, so that the rest may be read-only; what is there already is not fetched again.
set -eu
version="$1" store="$2"
work="$(mktemp -d "${TMPDIR:-/tmp}/fetch.XXXXXX")"
trap 'rm -rf "$work"' EXIT
clincode registry fetch "$version" --to "$work/$version" --store "$store" ${CLINCODE_MODEL_SHA256:+--sha256 "$CLINCODE_MODEL_SHA256"}
# The archive takes the code of the image with it; it is built in a copy, for it writes beside itself.
cp -R "${CLINCODE_SOURCE:-/opt/clincode/source}" "$work/source"
PYTHON="$(command -v python)" CLINCODE_MODEL_STORE="${CLINCODE_MODEL_STORE:-/models}" \
  "$work/source/scripts/archive.sh" "$work/$version"
