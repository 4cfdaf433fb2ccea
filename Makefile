# Every target makes .venv by itself, from python3 or PYTHON=..., and installs once: the stamp
# falls behind when the project's requirements change. A .venv of yours is installed into.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help env quickstart test check gpu lint types layers clean

help:
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

env: $(STAMP)  ## the environment in .venv, as constraints.txt pins it

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	    echo "make: need Python 3.11 or later, found no '$(PYTHON)'; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: need Python 3.11 or later, '$(PYTHON)' is $$($(PYTHON) -V 2>&1); name another: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	    echo "make: '$(PYTHON)' cannot make environments (venv, ensurepip); on Debian: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

quickstart: $(STAMP)  ## a real scaling search in minutes, into results/quickstart
	$(BIN)/scalesearch search experiments/quickstart.yaml --workers 2

test: lint types layers  ## everything that guards the project: what CI runs
	$(BIN)/python -m pytest -n $(JOBS)

check: lint types layers  ## the same without the slow tests, in minutes
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

gpu: $(STAMP)  ## tests and benchmark that need a GPU, into results/gpu
	PYTHON=$(BIN)/python benchmarks/gpu.sh

lint: $(STAMP)  ## style and form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy

layers: $(STAMP)  ## imports go down only
	$(BIN)/lint-imports --no-logo

clean:  ## caches and builds away; .venv, results and data stay
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
