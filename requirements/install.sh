#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes .venv from a lock: requirements/install.sh controller|demo|dev
# By uv where there is one, else by pip; a Debian Python without venv gets it from apt.
set -eu
cd "$(dirname "$0")/.."
lock=requirements/$1.txt
# A package index may fail for a moment.
export PIP_RETRIES="${PIP_RETRIES:-8}"
venv=.venv

find_python() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "No Python 3.11 or newer here. Install one (Debian 12: apt-get install python3)." >&2
    exit 1
}

if command -v uv >/dev/null 2>&1; then
    [ -x $venv/bin/python ] || uv venv --quiet --python "$(find_python)" $venv
    # Wheels only: a build would run code that no hash covers.
    uv pip install --quiet --python $venv/bin/python --require-hashes --no-build -r "$lock"
    exit 0
fi

if ! [ -x $venv/bin/pip ]; then
    python=$(find_python)
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "Installing python3-venv" >&2
            apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv >/dev/null
        else
            echo "$python has no venv. Install it (Debian: apt-get install python3-venv) or uv." >&2
            exit 1
        fi
    fi
    "$python" -m venv $venv
fi
$venv/bin/pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: -r "$lock"
