#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rewrites the locks from the .in files. No index address is recorded, so they serve behind any mirror.
#   lock.sh            keep what still fits
#   lock.sh --upgrade  take the newest
# The +cpu torch is not on PyPI: name where it is, by UV_FIND_LINKS (a folder of wheels) or
# UV_INDEX=https://download.pytorch.org/whl/cpu with UV_INDEX_STRATEGY=unsafe-best-match.
# What was published later is not looked at, so that the same command makes the same locks on another day; move the date to upgrade.
set -eu
not_after=2026-11-25T00:00:00Z
cd "$(dirname "$0")"
compile() {
    uv pip compile --quiet --exclude-newer "$not_after" --generate-hashes --no-build --no-emit-index-url --no-emit-find-links \
        --no-annotate --custom-compile-command roles/vllm_venv/files/locks/lock.sh "$@"
}
# A source for each release, build and Python, by its name: a new release is a copy of one with another number in it.
# One platform per build: that of the images the hosts boot (Debian 12, Ubuntu 24.04).
for source in vllm-*.in; do
    case $source in
    *-cpu-py311.in) fits="--python-version 3.11 --python-platform x86_64-manylinux_2_36 --overrides cpu-overrides.txt" ;;
    *-cu130-py312.in) fits="--python-version 3.12 --python-platform x86_64-manylinux_2_39" ;;
    *) echo "$source: no such build and Python" >&2; exit 1 ;;
    esac
    # shellcheck disable=SC2086
    compile $fits "$source" --output-file "${source%.in}.txt" "$@"
done
compile --universal --python-version 3.10 uv.in --output-file uv.txt "$@"
gateway=../../../gateway/files/locks
compile --universal --python-version 3.10 "$gateway/caddy.in" --output-file "$gateway/caddy.txt" "$@"
