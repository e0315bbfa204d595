# SPDX-License-Identifier: Apache-2.0
.DEFAULT_GOAL := help
SHELL := /bin/bash
PORT ?= 8090
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Python keeps what it compiled: what is started here is started often.
unexport PYTHONDONTWRITEBYTECODE
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/collections

.PHONY: help setup setup-dev demo demo-destroy demo-status emulator test test-fast test-full lint bench mutants docs lock audit clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

.venv/.installed-%: requirements/%.txt requirements/install.sh
	@echo "Installing $< into .venv"
	@requirements/install.sh $*
	@touch $@

setup: .venv/.installed-demo ## make .venv from the lock: Ansible and the emulator
setup-dev: .venv/.installed-dev ## the same, with what tests and linters need

demo: setup ## the whole way on this machine, with an emulated Compute Engine (root, Debian)
	@$(PY) -m demo up

demo-status: setup ## what the demo runs, and where
	@$(PY) -m demo status

demo-destroy: setup ## remove everything that the demo made
	@$(PY) -m demo destroy

emulator: setup ## the emulated Compute Engine alone, records only: make emulator PORT=8090
	@$(PY) -m emulator serve --port $(PORT) --backend records --project demo-project

lint: setup-dev ## ruff, mypy, ansible-lint, generated docs
	@tests/run lint

test-fast: setup-dev ## lint and unit tests, under 3 minutes
	@tests/run fast

test: setup-dev ## everything: also emulator, molecule, real vLLM, the demo; a fixed part of what test-full tries whole
	@tests/run all

test-full: setup-dev ## the same, and whole what is exhaustive: a kill at every request, all transitions of an instance, all scenarios
	@GCE_VLLM_TEST_FULL=1 tests/run all

bench: setup-dev ## the servers compared on the CPU (build/bench-cpu), and what runs cost in API requests (build/api-cost, build/site-cost)
	@benchmarks/serving/on_cpu
	@$(PY) -m benchmarks.api_cost --out build/api-cost
	@$(PY) -m benchmarks.site_cost --out build/site-cost
	@$(PY) -m benchmarks.no_change

mutants: setup-dev ## inject faults into a copy, one at a time, and see which tests notice them (build/mutants)
	@$(PY) -m benchmarks.mutants

docs: setup-dev ## write the roles' READMEs, docs/reference, docs/private-apis.md and files/grafana from the code
	@$(PY) -m docs.tools.generate_role_docs
	@$(PY) -m docs.tools.generate_reference
	@$(PY) docs/tools/generate_private_apis.py
	@$(PY) -m docs.tools.generate_grafana

audit: ## look the locks' packages up in the public lists of vulnerabilities (needs the public Python package index)
	@requirements/audit.sh

lock: ## write requirements/*.txt again from *.in (needs uv)
	@requirements/lock.sh

clean: ## remove test containers, .venv and build output; caches stay
	@if [ -x $(PY) ]; then $(PY) -m emulator.machines destroy --owner molecule || true; fi
	@rm -rf .venv .venv-audit build *.tar.gz .mypy_cache .ruff_cache .pytest_cache .ansible
