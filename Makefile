# `make demo` and `make test` work as first commands: each sets up the virtual environment it needs.
#   make VENV=../env              another place for the virtual environment
#   make PYTHON=python3.11        another Python; PyBullet has wheels for 3.11, on later ones pip compiles it
#   make TORCH_INDEX=URL        PyTorch's own index of CPU wheels: 200 MB to download instead of 3 GB with CUDA

PYTHON ?= $(shell for python in python3.11 python3; do $$python -c "" 2>/dev/null && echo $$python && break; done)
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TORCH := $(shell grep '^torch==' constraints.txt)
ECOSYSTEM := .venv-ecosystem
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq install --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo test test-ecosystem check lint types format study-smoke wheel-smoke clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; say which with make PYTHON=...")'
	@echo "setting up $(VENV) with $(PYTHON): one to two minutes, 1.6 GB"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python -qq install pip; }  # Debian without python3-venv
	@echo "  torch"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@echo "  sim2real and what it needs"
	@$(PIP) --editable '.[dev]'
	@touch $@

install: $(INSTALLED)  ## Set up the virtual environment (the others do it by themselves)

demo: $(INSTALLED)  ## Pretrain an arm, carry it into a shifted target, judge what that saved
	@$(BIN)/python scripts/demo.py

test: $(INSTALLED)  ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4

$(ECOSYSTEM)/.installed: pyproject.toml constraints-ecosystem.txt
	@echo "setting up $(ECOSYSTEM): two minutes, 1.9 GB"
	@$(PYTHON) -m venv $(ECOSYSTEM) >/dev/null 2>&1 || { $(PYTHON) -m venv --clear --without-pip $(ECOSYSTEM) && \
		$(PYTHON) -m pip --python $(ECOSYSTEM)/bin/python -qq install pip; }
	@$(ECOSYSTEM)/bin/$(PIP_ECOSYSTEM) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
	@$(ECOSYSTEM)/bin/$(PIP_ECOSYSTEM) --editable '.[ecosystem]'
	@touch $@

test-ecosystem: $(ECOSYSTEM)/.installed  ## Run the tests with other tools (rl-zoo3, MLflow, W&B, Minari) in an environment of its own
	OMP_NUM_THREADS=1 $(ECOSYSTEM)/bin/python -m pytest tests/ecosystem

check: lint types test  ## What CI runs: format, lint, types, tests

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
	$(BIN)/python scripts/smoke_wheel.py $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))

clean:  ## Remove the virtual environment and caches; runs/ stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
