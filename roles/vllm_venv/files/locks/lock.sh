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
# One Python and one platform per lock: those of the images the hosts boot (Debian 12, Ubuntu 24.04).
compile --python-version 3.11 --python-platform x86_64-manylinux_2_36 --overrides cpu-overrides.txt \
    cpu.in --output-file vllm-0.32.0-cpu-py311.txt "$@"
compile --python-version 3.12 --python-platform x86_64-manylinux_2_39 \
    cu130.in --output-file vllm-0.32.0-cu130-py312.txt "$@"
compile --universal --python-version 3.10 uv.in --output-file uv.txt "$@"
