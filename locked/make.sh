#!/usr/bin/env bash
# Resolves anew what each file here locks: `make lock`. Wants uv, and a package index.
set -eu
cd "$(dirname "$0")/.."

# lock NAME "EXTRAS" OPTIONS...: what roommood with these extras needs, for each Python and system.
lock() {
    local name=$1 extras=$2
    shift 2
    # shellcheck disable=SC2046,SC2086
    uv pip compile --quiet --upgrade --generate-hashes --no-annotate --no-header \
        --no-emit-package roommood $(printf -- '--extra %s ' $extras) --python-version 3.11 "$@" \
        --output-file "locked/$name.txt" pyproject.toml
}

# An editable installation is built with what is locked too.
build=$(mktemp --suffix .in)
trap 'rm -f "$build"' EXIT
echo 'setuptools>=77' > "$build"
lock dev "dev" --universal "$build"
# The same versions everywhere.
same=(--universal --constraints locked/dev.txt)
lock demo "demo" "${same[@]}" "$build"
lock demo,dashboard "demo dashboard" "${same[@]}" "$build"
lock camera "camera" "${same[@]}"
lock worker "worker" "${same[@]}"
lock aggregator "aggregator mqtt notify" "${same[@]}"
lock dashboard "dashboard" "${same[@]}"
lock site "camera worker aggregator dashboard mqtt notify discovery" "${same[@]}"
# For Debian's picamera2 and its numpy 1, until Python 3.12. Without conditions, since pip takes those
# of the Python that it runs on, also where it fetches for a Pi.
lock picamera "picamera" --python-platform aarch64-manylinux_2_28
