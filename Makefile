# Two commands matter: `make validate` runs the main job, `make test` passes the tests. `make help` lists the rest.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
TOOLS := $(VENV)/.tools-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Tests of one file stay on one worker, so that a server started for a file is started once.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help validate full lab serve test test-full lint lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

validate: $(RUNTIME) ## Run the quick profile on an embedded server and write reports/latest
	$(BIN)/cryptosense validate $(ARGS)

full: $(RUNTIME) ## Run the full profile (up to 25 minutes)
	$(BIN)/cryptosense validate --profile full $(ARGS)

lab: $(RUNTIME) ## Open the notebooks in JupyterLab
	$(BIN)/cryptosense lab $(ARGS)

serve: $(RUNTIME) ## Serve the reference implementation, three instances from port 8000
	$(BIN)/cryptosense serve --instances 3 $(ARGS)

test: lint ## Lint, types, floors, unit, conformance, end-to-end, notebooks
	$(PYTEST) -m "not full" --cov --cov-report=term $(ARGS)

test-full: lint ## The whole matrix of servers, topologies, stages and controls
	$(PYTEST) --cov --cov-report=term $(ARGS)

lint: $(TOOLS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock: ## Pin the dependencies again (needs `uv` on the path)
	uv pip compile --universal --generate-hashes --no-strip-extras --no-header --no-annotate --quiet --python-version 3.11 \
	  pyproject.toml --extra build --extra test --extra peers --extra distributed -o requirements-test.txt
	uv pip compile --universal --generate-hashes --no-strip-extras --no-header --no-annotate --quiet --python-version 3.11 \
	  pyproject.toml --extra build --constraint requirements-test.txt -o requirements.txt

clean: ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "CryptoSense needs Python 3.11 or later; name one with: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.txt pyproject.toml | $(BIN)/python
	@echo "Installing the pinned dependencies into $(VENV) (about a minute, once)"
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(TOOLS): requirements-test.txt pyproject.toml $(RUNTIME)
	@echo "Installing the pinned test tools into $(VENV)"
	$(PIP) install --require-hashes -r requirements-test.txt
	@touch $@
