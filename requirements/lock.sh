#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rewrites the locks from their sources. No index address is recorded, so they serve behind any mirror.
#   requirements/lock.sh            keep what still fits
#   requirements/lock.sh --upgrade  take the newest
# Without a build of anything, as they are installed; uv lists checksums of source archives all the same.
set -eu
cd "$(dirname "$0")"
constraint=
for name in dev demo controller; do
    # dev is the widest set: the smaller ones take their versions from it.
    # shellcheck disable=SC2086
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-build \
        --no-emit-index-url --no-emit-find-links --no-annotate \
        --custom-compile-command requirements/lock.sh \
        $constraint "$@" "$name.in" --output-file "$name.txt"
    constraint="--constraint dev.txt"
done
for name in audit clients; do
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-build \
        --no-emit-index-url --no-emit-find-links --no-annotate \
        --custom-compile-command requirements/lock.sh "$@" "$name.in" --output-file "$name.txt"
done
