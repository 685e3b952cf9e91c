# `make` alone prints this list. Set-up is part of `up`, `check` and `test`; a second run skips it.
.DEFAULT_GOAL := help
.PHONY: help up down check test bench fuzz docs lock clean
BIN := .venv/bin

help: ## print this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 8

up: ## from nothing to an answer from a real model through the router
	@scripts/setup
	@$(BIN)/anvil-ctl quickstart

down: ## stop the stack; volumes, configuration and images stay
	@$(BIN)/anvil-ctl down

check: ## format, lint, types, import contracts, unit tests
	@scripts/setup dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/unit -q -n 2

FUZZ_SECONDS ?= 120
fuzz: ## look for bytes that break the data plane, for FUZZ_SECONDS (120) in all
	@scripts/setup fuzz
	$(BIN)/python -m tests.unit.fuzz $(FUZZ_SECONDS)

test: check ## check, and the tests on real containers and agents (as no root: TWO_GPUS=no)
	@scripts/setup test
ifeq ($(TWO_GPUS),no)
	@echo 'TWO_GPUS=no: tests/gpu is left out, the machine with two simulated GPUs (it needs root)'
endif
	$(BIN)/python -m pytest tests/clients tests/e2e $(if $(filter no,$(TWO_GPUS)),,tests/gpu) -v --timeout 600

bench: ## what the router costs beside nginx (12 minutes; needs nginx and a C compiler)
	@scripts/setup
	@$(BIN)/python -m bench $(BENCH)

docs: ## write the command reference anew from the commands
	$(BIN)/typer anvil_ctl.cli.main utils docs --name anvil-ctl --output docs/reference/cli.md

lock: ## pin what pyproject.toml and the .in files ask for (needs uv on PATH)
	scripts/lock

clean: ## remove the virtual environment and caches; never a volume
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
