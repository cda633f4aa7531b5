# Everything here makes its own virtual environment: Python, make and a package index are enough.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# How many tests run at once.
JOBS ?= 2
TESTS ?= tests
# Of the benchmark: empty is all; `python -m benchmarks --list` names them.
CASES ?=
PEERS ?=
ROUNDS ?= 5
SECONDS ?= 2
# Of the soak: how long, how many conversations a second, single or workers; the same SEED makes the same ones.
MINUTES ?= 10
RATE ?= 50
MODE ?= single
SEED ?=

# An ordinary `pip install -e .` hides the plugin from twistd.
EDITABLE = --config-settings editable_mode=compat

.PHONY: help demo test test-slow soak check format bench bench-quick bench-publish bench-wire fuzz docs-performance docs-behaviour docs-errors docs-settings docs-config docs docs-screens docs-linkcheck clean

help:
	@echo "make demo           two demo back-ends and the proxy before them, on 8080"
	@echo "make test           all tests but the slow ones, on both reactors (TESTS=tests/net, JOBS=2)"
	@echo "make test-slow      the slow tests: gigabytes, load, the built wheel"
	@echo "make soak           hours of mixed load on the real program (MINUTES=10, RATE=50, MODE=single|workers, SEED=)"
	@echo "make check          ruff, mypy, import contracts"
	@echo "make format         let ruff put files into shape"
	@echo "make bench          what the proxy costs beside others (CASES=, PEERS=, ROUNDS=5, SECONDS=2)"
	@echo "make bench-quick    the same for a small GET, about a minute"
	@echo "make bench-publish  put the last run's results into docs/performance.md"
	@echo "make bench-wire     what reading and writing heads costs"
	@echo "make fuzz           all fuzz targets in turn (SECONDS=60 for all together, or RUNS=, TARGETS=)"
	@echo "make docs           the documents as a site, into build/docs/html"
	@echo "make docs-linkcheck whether the documents' links lead anywhere; it needs the network"
	@echo "make docs-screens   take the admin page's screens anew, three minutes"
	@echo "make docs-behaviour which tests hold which rule, into docs/behaviour.md"
	@echo "make docs-errors    write docs/errors.md from the reasons table"
	@echo "make docs-settings  write docs/settings.md from the settings' definition"
	@echo "make docs-config    write docs/config.md and its JSON Schema from the configuration's models"
	@echo "make docs-performance  write docs/performance.md from the published results"
	@echo "make clean          remove everything that was made here"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "vegurtx needs Python 3.11 or newer; name one with make PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	    || { rm -rf $(VENV); echo "$(PYTHON) cannot make virtual environments; Debian has that in python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.runs: setup.py pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet $(EDITABLE) -e .
	@touch $@

$(VENV)/.develops: setup.py pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet $(EDITABLE) -e ".[dev]"
	@touch $@ $(VENV)/.runs

demo: $(VENV)/.runs
	@exec $(BIN)/python -m vegurtx demo --router examples.toy_router.ToyRouter

# Without a test to run pytest ends with 5, and make with it.
test: $(VENV)/.develops
	VEGURTX_TEST_REACTOR=epoll $(BIN)/python -m pytest -q -n $(JOBS) -m "not slow" $(TESTS)
	VEGURTX_TEST_REACTOR=uvloop $(BIN)/python -m pytest -q -n $(JOBS) -m "not slow and not once" $(TESTS)

test-slow: $(VENV)/.develops
	VEGURTX_TEST_REACTOR=epoll $(BIN)/python -m pytest -q -m slow $(TESTS)
	VEGURTX_TEST_REACTOR=uvloop $(BIN)/python -m pytest -q -m slow $(TESTS)

soak: $(VENV)/.develops
	$(BIN)/python -m soak --minutes $(MINUTES) --rate $(RATE) --mode $(MODE) $(if $(SEED),--seed $(SEED))

check: $(VENV)/.develops
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.develops
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.develops
	$(BIN)/python -m benchmarks --cases "$(CASES)" --peers "$(PEERS)" --rounds $(ROUNDS) --seconds $(SECONDS)

bench-quick: $(VENV)/.develops
	$(BIN)/python -m benchmarks --quick --peers "$(PEERS)" --rounds $(ROUNDS) --seconds $(SECONDS)

bench-publish: $(VENV)/.develops
	cp benchmarks/results/latest.json benchmarks/results/published.json
	$(MAKE) docs-performance

bench-wire: $(VENV)/.develops
	$(BIN)/python benchmarks/bench_wire.py

$(VENV)/.documents: setup.py pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet $(EDITABLE) -e ".[docs]"
	@touch $@ $(VENV)/.runs

# Warnings are errors, a name that leads nowhere is a warning; all of them are said.
docs: $(VENV)/.documents
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet -b html docs build/docs/html
	@echo "build/docs/html/index.html"

docs-linkcheck: $(VENV)/.documents
	$(BIN)/python -m sphinx --keep-going --quiet -b linkcheck docs build/docs/linkcheck

docs-screens: $(VENV)/.develops
	$(BIN)/python docs/screens/make.py

$(VENV)/.fuzzes: setup.py pyproject.toml | $(VENV)/.made
	$(BIN)/python -m pip install --quiet $(EDITABLE) -e ".[test,fuzz]"
	@touch $@

# `make fuzz` alone takes a minute, whatever a benchmark's SECONDS are.
fuzz: SECONDS = 60
fuzz: RUNS ?= 0
fuzz: TARGETS ?=
fuzz: $(VENV)/.fuzzes
	$(BIN)/python -m fuzz --seconds $(SECONDS) --runs $(RUNS) $(TARGETS)

docs-settings: $(VENV)/.runs
	$(BIN)/python -m vegurtx settings-docs > docs/settings.md.new
	mv docs/settings.md.new docs/settings.md

docs-config: $(VENV)/.runs
	$(BIN)/python -m vegurtx.balance.config reference > docs/config.md.new
	mv docs/config.md.new docs/config.md
	$(BIN)/python -m vegurtx.balance.config schema > docs/config.schema.json.new
	mv docs/config.schema.json.new docs/config.schema.json

docs-errors: $(VENV)/.runs
	$(BIN)/python -m vegurtx.cli.reasons_docs > docs/errors.md.new
	mv docs/errors.md.new docs/errors.md

docs-performance: $(VENV)/.develops
	$(BIN)/python -m benchmarks.page > docs/performance.md.new
	mv docs/performance.md.new docs/performance.md

docs-behaviour: $(VENV)/.develops
	$(BIN)/python -m tests.behaviour.table

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf _trial_temp* twistd.pid twistd.log* twisted/plugins/dropin.cache
	find vegurtx tests twisted examples benchmarks fuzz soak -name __pycache__ -prune -exec rm -rf {} +
