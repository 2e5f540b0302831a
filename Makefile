# Needs make and Python >= 3.11 with its venv module; everything else goes into .venv.
#   make setup   the environment only            make demo    the main job on real text, results in runs/demo
#   make test    all checks and tests            make lint    the checks without the tests
#   make native  the C++ extension again         make docs    the documentation site, in site/
#   make clean   all of that away
# PYTHON=python3.12 chooses an interpreter; ARGS="tests/runs -k report" narrows the tests; NATIVE=off does without the
# C++ extension; SANITIZE=address, undefined or thread builds one that watches itself.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-stamp
NATIVE ?= on
SANITIZE ?=
NATIVE_STAMP := $(VENV)/.native-stamp
NATIVE_FOLDER := build/native$(addprefix -,$(SANITIZE))
# folders too: a file that was taken away changes its folder
NATIVE_SOURCES := CMakeLists.txt $(shell find src/native)
TORCH := 2.13.0
CPU_INDEX := https://download.pytorch.org/whl/cpu
WORKERS := 2
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)
# An editable install of scikit-build-core puts a finder before all others, with the modules of that day: a module that
# became a package is not found, and PYTHONPATH of another checkout is not obeyed. A path does all that we need.
define PLAIN_PATH
import pathlib, sysconfig
for path in pathlib.Path(sysconfig.get_path("purelib")).glob("_editable_skbc_recurra.*"):
    path.unlink() if path.suffix != ".pth" else path.write_text(f"{pathlib.Path('src').resolve()}\n")
endef
export PLAIN_PATH
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input

.PHONY: help setup native test lint docs demo clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,7s/^# *//p' Makefile

setup: $(STAMP) $(NATIVE_STAMP)
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
	@$(PIP) install -c constraints.txt -C wheel.cmake=false -e '.[dev]'
	@$(BIN)/python -c "$$PLAIN_PATH"
	@$(BIN)/python -c 'import torch; v = torch.__version__; assert v.split("+")[0] == "$(TORCH)", f"torch is {v}, $(TORCH) was wanted"; print("torch", v, "is ready")'
	@touch $(STAMP)

$(NATIVE_STAMP): $(STAMP) $(NATIVE_SOURCES)
	@$(MAKE) --no-print-directory native

# Into the source tree, where the path of the editable install finds it. An error is an error here; only where there is
# no compiler, or no Python.h, is there nothing to be done.
native: $(STAMP)
	@if [ "$(NATIVE)" = off ]; then \
	  echo "NATIVE=off: the C++ extension is left as it is"; \
	elif ! command -v $${CXX:-c++} >/dev/null && ! command -v g++ >/dev/null && ! command -v clang++ >/dev/null; then \
	  echo "No C++ compiler was found: recurra goes without its C++ extension, on slower paths. Install g++ or clang, then: make native"; \
	elif ! $(BIN)/python -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'; then \
	  echo "No Python.h was found: recurra goes without its C++ extension, on slower paths. Install it (Debian, Ubuntu: apt install python3-dev), then: make native"; \
	else \
	  echo "Building the C++ extension in $(NATIVE_FOLDER)"; \
	  PATH="$(CURDIR)/$(BIN):$$PATH" && export PATH && \
	  cmake -S . -B $(NATIVE_FOLDER) -G Ninja --log-level=WARNING -DPython_EXECUTABLE="$(CURDIR)/$(BIN)/python" \
	    -DRECURRA_SANITIZE=$(SANITIZE) >/dev/null && \
	  cmake --build $(NATIVE_FOLDER) -- --quiet && \
	  cmake --install $(NATIVE_FOLDER) --prefix $(NATIVE_FOLDER)/stage >/dev/null && \
	  mv -f $(NATIVE_FOLDER)/stage/recurra/kernels/_native* src/recurra/kernels/ && \
	  $(if $(SANITIZE),true,touch $(NATIVE_STAMP)) || { \
	    echo "The C++ extension was not built. Go without it, on slower paths: make NATIVE=off ..."; exit 1; }; \
	fi

# The tests run even where a check fails, so that one call shows everything; the exit code is that of both.
test: $(STAMP) $(NATIVE_STAMP)
	@failed=0; \
	$(MAKE) --no-print-directory lint || failed=1; \
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS) || failed=1; \
	exit $$failed

lint: $(STAMP) $(NATIVE_STAMP)
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports || failed=1; \
	exit $$failed

docs: $(STAMP) $(NATIVE_STAMP)
	@NO_MKDOCS_2_WARNING=1 OMP_NUM_THREADS=1 $(BIN)/mkdocs build --strict --quiet && echo "The site is in site/: open site/index.html"

demo: $(STAMP) $(NATIVE_STAMP)
	@$(BIN)/python examples/demo.py

clean:
	rm -rf $(VENV) build dist site src/*.egg-info src/recurra/kernels/_native*.so .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
