# make demo        the main job on embedded servers      make test    the test suite
# make test-fast   the tests for which nothing listens   make lint    format, lint, types
# make docs        docs/reference.md and example.env     make bench   the figures of docs/benchmarks.md

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests at a time. Each worker starts servers of its own, an Elasticsearch among them: about 1.5 GB of memory.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

.PHONY: demo test test-fast lint format bench docs clean

# One virtual environment for everything; made again when the dependencies change.
$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("harvest.py needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=python3.12 …)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python harvest.py dev demo

# pytest rewrites each test file before it runs it: what was rewritten is kept, whatever the environment says.
test test-fast: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.installed
	$(PYTEST) $(ARGS)

test-fast: $(VENV)/.installed
	$(PYTEST) --fast $(ARGS)

lint: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	test ! -x $(BIN)/hadolint || $(BIN)/hadolint docker/Dockerfile docker/Dockerfile.simulators

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.run $(ARGS)

docs: $(VENV)/.installed
	$(BIN)/python -m harvesters.cli.reference

clean:
	rm -rf $(VENV) *.egg-info build dist
