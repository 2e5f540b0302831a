# Needs make and Python >= 3.11 with its venv module; everything else goes into .venv.
#   make setup   the environment only            make demo    the main job on real text, results in runs/demo
#   make test    all checks and tests            make lint    the checks without the tests
# PYTHON=python3.12 chooses an interpreter; ARGS="tests/runs -k report" narrows the tests.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
TORCH := 2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu
WORKERS := 2
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

.PHONY: help setup test lint demo clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,4s/^# *//p' Makefile

setup: $(STAMP)
	@echo "recurra is set up in $(VENV): try $(BIN)/recurra --help"

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "recurra needs Python 3.11 or newer; none was found. Install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "Making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear $(VENV); }
	@$(BIN)/python -c 'import sys; from importlib.metadata import version; sys.exit(version("torch").split("+")[0] != "$(TORCH)")' 2>/dev/null || { \
	  if $(PIP) install --dry-run --no-index --no-deps torch==$(TORCH) >/dev/null 2>&1; then \
	    echo "Installing torch $(TORCH) from a wheel on this machine"; \
	    $(PIP) install --no-index --no-deps torch==$(TORCH); \
	  elif nvidia-smi >/dev/null 2>&1; then \
	    echo "Installing torch $(TORCH) for the NVIDIA GPU (about 3 GB)"; \
	    $(PIP) install --no-deps torch==$(TORCH); \
	  else \
	    echo "Installing torch $(TORCH) for the CPU (about 200 MB)"; \
	    $(PIP) install --no-deps --index-url $(CPU_INDEX) torch==$(TORCH) || { \
	      echo "$(CPU_INDEX) gave no torch: taking your usual package index, whose build may be larger"; \
	      $(PIP) install --no-deps torch==$(TORCH); }; \
	  fi; }
	@echo "Installing recurra and what it needs"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@$(BIN)/python -c 'import torch; v = torch.__version__; assert v.split("+")[0] == "$(TORCH)", f"torch is {v}, $(TORCH) was wanted"; print("torch", v, "is ready")'
	@touch $(STAMP)

# The tests run even where a check fails, so that one call shows everything; the exit code is that of both.
test: $(STAMP)
	@failed=0; \
	$(MAKE) --no-print-directory lint || failed=1; \
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS) || failed=1; \
	exit $$failed

lint: $(STAMP)
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports || failed=1; \
	exit $$failed

demo: $(STAMP)
	@$(BIN)/python examples/demo.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
