# `make help` lists the targets. Each does its own set-up: a virtual environment with locked dependencies, made
# once per lock file, by uv where it is present and else by pip. It needs git, make and Python 3.11 or later.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check format bench soak mutants readme lock venv venv-bench node clean

# Where it is set, every start would compile its modules anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
# Tests, the demo's stages and the checks all find the environment first.
export PATH := $(BIN):$(PATH)

JOBS ?= auto
# More options for pytest, the benchmarks or the demo: make test ARGS="-k gate"
ARGS ?=

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv ## build a real repository in a temporary place and walk it: register, reject, promote, roll back
	@ciml demo $(ARGS)

test: venv node ## run all tests
	@python -m pytest -n $(JOBS) $(ARGS)

check: venv ## lint, types, import contracts
	@.ci/checks

format: venv ## rewrite the code as the linter wants it
	@ruff check --fix --quiet . && ruff format .

bench: venv venv-bench ## measure ciml beside DVC, GNU make, doit and Snakemake; ARGS=--full for the long form
	@python -m tests.benchmarks $(ARGS)

soak: venv node ## the tests that kill and race, many rounds (ROUNDS=200 KILLS=20)
	@CIML_TEST_ROUNDS=$${ROUNDS:-200} CIML_TEST_KILLS=$${KILLS:-20} CIML_TEST_PAIRS=$${PAIRS:-2000} \
		CIML_TEST_LONG=1 \
		python -m pytest -n $(JOBS) --timeout 7200 -m soak $(ARGS)

mutants: venv node ## take every needs, artifact step and permission out of the workflows, one by one: each is missed
	@CIML_TEST_LONG=1 python -m pytest -n $(JOBS) --timeout 7200 tests/test_workflow_mutants.py $(ARGS)

readme: venv ## write the README's outputs anew from a real run, and the tables of docs/ from the code
	@python -m tests.readme && python -m tests.reference

lock: ## make the lock files again from pyproject.toml (UPGRADE=1: with the newest versions); needs uv
	@.ci/lock $(if $(UPGRADE),--upgrade)

venv: ## only make the environment
	@.ci/venv $(VENV) requirements/dev.lock .

node:
	@.ci/node

venv-bench:
	@.ci/venv .venv-bench requirements/bench.lock

clean: ## remove the environments and caches
	rm -rf .venv .venv-bench tests/node/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
