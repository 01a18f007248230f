# The two commands of the README are `make demo` and `make test`. Each makes its own virtual environment.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 8000
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
# Test processes: half as many again as there are cores, unless told.
WORKERS ?= auto

.PHONY: help demo demo-check test lint bench soak clean

help:  ## say what each target does
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

$(RUNTIME): pyproject.toml
	@echo "Installing the Python packages into $(VENV)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEV): pyproject.toml
	@echo "Installing the Python packages into $(VENV)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(RUNTIME)

demo: $(RUNTIME)  ## start the emulators, sync them, serve the facade on 127.0.0.1:$(PORT); Ctrl-C stops everything
	@PORT=$(PORT) exec $(BIN)/fhir-facade demo

demo-check: $(RUNTIME)  ## run the main job through a running demo; non-zero when a step fails
	@exec $(BIN)/python -m sandbox.demo.check

test: $(DEV)  ## run the tests (fixed budgets; see soak for the long forms)
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n $(WORKERS)

lint: $(DEV)  ## style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV)  ## CPU per unit, each as a ratio within one run
	$(BIN)/python -m benchmarks

soak: $(DEV)  ## the long forms of the property tests and killers
	PYTHONDONTWRITEBYTECODE= SOAK=1 $(BIN)/python -m pytest -q -n $(WORKERS) --timeout 3600

clean:  ## remove the demo's state and the virtual environment
	rm -rf var $(VENV)
