# make demo        the main job on embedded servers      make test    the test suite
# make test-fast   the tests for which nothing listens   make lint    format, lint, types
# make test-cluster KIND=os3   the search side over another kind of cluster (es9, os2, os3)
# make docs        docs/reference.md and example.env     make bench   the figures of docs/benchmarks.md

SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests at a time, on two cores: most of them wait for processes. Each worker starts servers of its own, an Elasticsearch
# among them: about 1.5 GB of memory.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

# What asks the cluster in ways that differ between kinds: templates, reading, writing, migrations, and each command once.
SEARCH_SIDE := tests/search tests/migration tests/sinks tests/firebase tests/profiles tests/indexing tests/insights \
	tests/conformance/test_elastic_blob.py tests/listings/test_search.py tests/listings/test_versions.py \
	tests/web/test_profiles.py tests/web/test_search.py tests/web/test_insights.py tests/web/test_analytics.py \
	tests/web/test_messages.py tests/messages tests/standins/test_standins.py \
	$(addprefix tests/cli/test_,$(addsuffix .py,clusters setup query export load_episodes search index logs logs_query \
	insights firebase firebase_load firebase_events zoom messages_compute messages_export))

.PHONY: demo test test-fast test-cluster lint format bench docs clean

# One virtual environment for everything; made again when the dependencies change.
$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("harvest.py needs Python 3.11 or newer; this is " + sys.version.split()[0] + " (make PYTHON=python3.12 …)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python harvest.py dev demo

# pytest rewrites each test file before it runs it: what was rewritten is kept, whatever the environment says.
test test-fast test-cluster: export PYTHONDONTWRITEBYTECODE =

test: $(VENV)/.installed
	$(PYTEST) $(ARGS)

test-fast: $(VENV)/.installed
	$(PYTEST) --fast $(ARGS)

test-cluster: export HARVEST_TEST_CLUSTER = $(KIND)
test-cluster: $(VENV)/.installed
	$(PYTEST) -m 'cluster and not slow' $(ARGS) $(SEARCH_SIDE)

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
