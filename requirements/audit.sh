#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Looks up every locked package in the public lists of vulnerabilities: requirements/audit.sh [LOCK…]
# Ends with 0 where none is known, 1 where some are, 2 where the lists could not be asked.
# pip-audit comes by a lock of its own into an environment of its own.
set -eu
cd "$(dirname "$0")/.."
venv=.venv-audit
[ $# -gt 0 ] || set -- requirements/*.txt roles/vllm_venv/files/locks/*.txt
if ! [ $venv/.installed -nt requirements/audit.txt ]; then
    rm -rf $venv
    python3 -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: -r requirements/audit.txt
    touch $venv/.installed
fi
worst=0
for lock; do
    case $lock in *cpu-overrides.txt) continue ;; esac
    rm -f $venv/found.json
    # --disable-pip: a lock names everything, so that nothing has to be resolved.
    $venv/bin/pip-audit --progress-spinner off --disable-pip --require-hashes -r "$lock" \
        --format json --output $venv/found.json 2>$venv/said || true
    status=0
    $venv/bin/python requirements/audit_report.py "$lock" $venv/found.json || status=$?
    [ $status -ne 2 ] || grep -v '^No known\|^WARNING' $venv/said >&2 || true
    [ $status -le $worst ] || worst=$status
done
exit "$worst"
