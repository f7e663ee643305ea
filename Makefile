# `make demo` and `make test` work as first commands: each sets up the virtual environment it needs.
#   make VENV=../env              another place for the virtual environment
#   make PYTHON=python3.11        another Python; PyBullet has wheels for 3.11, on later ones pip compiles it
#   make TORCH_INDEX=URL        PyTorch's own index of CPU wheels: 200 MB to download instead of 3 GB with CUDA

PYTHON ?= $(shell for python in python3.11 python3; do $$python -c "" 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
ECOSYSTEM ?= .venv-ecosystem
TORCH_INDEX ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TORCH := $(shell grep '^torch==' constraints.txt)
PIP := -m pip --disable-pip-version-check -qq install --constraint
INDEX := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow test-ecosystem check lint types format study-smoke wheel-smoke clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# In Debian without python3-venv, pip comes from outside.
new_venv = $(PYTHON) -m venv $(1) >/dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip $(1) && \
	$(PYTHON) -m pip --python $(1)/bin/python -qq install pip; }

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; say which with make PYTHON=...")'
	@echo "setting up $(VENV) with $(PYTHON): one to two minutes, 1.6 GB"
	@$(call new_venv,$(VENV))
	@echo "  torch"
	@$(BIN)/python $(PIP) constraints.txt $(INDEX) $(TORCH)
	@echo "  sim2real and what it needs"
	@$(BIN)/python $(PIP) constraints.txt --editable '.[dev]'
	@touch $@

install: $(INSTALLED)  ## Set up the virtual environment (the others do it by themselves)

demo: $(INSTALLED)  ## Pretrain an arm, carry it into a shifted target, judge what that saved
	@$(BIN)/python scripts/demo.py

PYTEST := -m pytest -n auto --maxprocesses 4 --dist worksteal

test: $(INSTALLED)  ## Run the tests, but for the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m "not slow"

test-slow: $(INSTALLED)  ## Run the slow tests: clusters, kills, what each method gains, every world
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m slow

$(ECOSYSTEM)/.installed: pyproject.toml constraints-ecosystem.txt
	@echo "setting up $(ECOSYSTEM) with $(PYTHON): one to two minutes, 1.9 GB"
	@$(call new_venv,$(ECOSYSTEM))
	@$(ECOSYSTEM)/bin/python $(PIP) constraints-ecosystem.txt $(INDEX) $(TORCH)
	@$(ECOSYSTEM)/bin/python $(PIP) constraints-ecosystem.txt --editable '.[ecosystem]'
	@$(ECOSYSTEM)/bin/python -c "import minari, mlflow, moviepy, rl_zoo3, wandb"  # no test can skip
	@touch $@

test-ecosystem: $(ECOSYSTEM)/.installed  ## Run the tests that need other tools (zoo, trackers, Minari), set up apart
	OMP_NUM_THREADS=1 $(ECOSYSTEM)/bin/python -m pytest tests/ecosystem

check: lint types test  ## Before a commit: format, lint, types, tests

lint: $(INSTALLED)  ## Check format and style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(INSTALLED)  ## Check types
	$(BIN)/mypy

format: $(INSTALLED)  ## Format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

study-smoke: $(INSTALLED)  ## Run a tiny study from end to end
	$(BIN)/sim2real study scripts/studies/tiny.yaml --out "$$(mktemp -d)/tiny"

wheel-smoke: $(INSTALLED)  ## Build the wheel, install it in a fresh environment elsewhere, use it there
	$(BIN)/python scripts/smoke_wheel.py $(INDEX)

clean:  ## Remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) $(ECOSYSTEM) build dist .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
