# The two commands of the README do all the set-up: `make run` and `make test`.
# No other target is needed to use wattsweep; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SNAKEMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" snakemake
SOURCES := src tests benchmarks docs
# Half of the tests wait, for a meter or for Slurm; more at one time would disturb those that measure.
TESTS_AT_ONCE ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format types coverage docs audit licences reference lock clean

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.run ## Set up .venv and run nothing

run: $(VENV)/.run ## Set up, run config.yaml on this machine, print the report's path
	$(SNAKEMAKE) --profile profiles/local --quiet rules

test: $(VENV)/.test lint types ## Set up, then run every check and test that this machine can run
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --numprocesses $(TESTS_AT_ONCE) --no-loadscope-reorder

coverage: $(VENV)/.test ## The tests with coverage, that of processes they start too; takes much longer
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest --numprocesses $(TESTS_AT_ONCE) --no-loadscope-reorder \
		--cov --cov-report=term

lint: $(VENV)/.test ## Check style: ruff, snakefmt, snakemake --lint
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/snakefmt --check workflow
	$(SNAKEMAKE) --lint

types: $(VENV)/.test ## Check types
	$(BIN)/mypy

format: $(VENV)/.test ## Format the sources
	$(BIN)/ruff check --fix-only $(SOURCES)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/snakefmt workflow

docs: $(VENV)/.test ## Build the documentation into build/site, warnings as errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo build/site/index.html

audit: $(VENV)/.test ## Look up known vulnerabilities of what is pinned; needs a network, never fails
	$(BIN)/pip-audit --require-hashes --disable-pip --progress-spinner off --requirement requirements.lock || \
		echo "warning: pip-audit found something or could not ask; see above"

licences: $(VENV)/.test ## List the licences of what is pinned, in docs/licences.md
	$(BIN)/python -m benchmarks.licences

reference: $(VENV)/.run ## Write what is generated from code: the config schema and the reference pages
	$(BIN)/python -m wattsweep.config.reference
	$(BIN)/python -m wattsweep.cli.reference
	$(BIN)/python -m wattsweep.tables.reference
	$(BIN)/python -m wattsweep.figures.captions

lock: $(VENV)/.run ## Pin the newest versions that pyproject.toml allows, with hashes
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
		--extra dev --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	@echo "now: make licences"

clean: ## Remove the environment and caches; results stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1); wattsweep needs Python 3.11 or 3.12: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.test: requirements-dev.lock tests/install-programs $(VENV)/.run
	$(BIN)/pip install --quiet --require-hashes --no-deps --requirement requirements-dev.lock
	tests/install-programs
	touch $@
