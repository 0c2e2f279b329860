# Everything runs in .venv, made with the python3 on PATH; another: make venv PYTHON=python3.13
PYTHON ?= python3
PORT ?= 3000

export DAGSTER_DISABLE_TELEMETRY = 1
# The demo keeps all it makes in this folder, and the UI looks there; both may be set from outside.
demo ui: export DATASET_ASSETS_HOME ?= $(CURDIR)/demo
demo ui: export DAGSTER_HOME ?= $(CURDIR)/dagster_home

.DEFAULT_GOAL := help
.PHONY: help venv test lint docs demo ui bench clean

help:  ## Show this
	@sed -n 's/^\([a-z]*\):.*##\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

venv: .venv/.made  ## Make .venv, or bring it up to date, with the versions of constraints.txt

.venv/.made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"{sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed. Give one: make venv PYTHON=python3.13")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv || { apt-get install -y python3-venv && $(PYTHON) -m venv --clear .venv; }
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

test: .venv/.made  ## Run all tests but the soak ones
	.venv/bin/python -m pytest -n 2

lint: .venv/.made  ## Run ruff and mypy
	.venv/bin/ruff check .
	.venv/bin/mypy

docs: .venv/.made  ## Build the documentation into build/docs; a warning is an error
	.venv/bin/properdocs build --clean

demo: .venv/.made  ## Materialise three real datasets, train on one, print what it gave
	.venv/bin/python examples/demo.py

ui: .venv/.made  ## Show the assets in Dagster's web UI, on PORT (3000)
	@mkdir -p "$$DAGSTER_HOME"
	@# Its processes would otherwise race to make the tables of a new instance.
	.venv/bin/dagster instance migrate
	.venv/bin/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(PORT)

bench: .venv/.made  ## Run the benchmarks
	set -e; for script in benchmarks/*.py; do .venv/bin/python $$script; done

clean:  ## Remove .venv, caches and builds; no data
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
