# make demo   the main job on embedded servers        make test    the test suite
# make lint   format, lint, types                      make bench   the figures of docs/benchmarks.md
# make docs   the generated parts of README.md and example.env

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint format bench docs clean

# One virtual environment for everything; made again when the dependencies change.
$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("harvest.py needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=python3.12 …)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python harvest.py dev demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(ARGS)

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
