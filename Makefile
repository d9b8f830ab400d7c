# What a newcomer runs: `make run`, `make test`. Needs Python 3.11 or later with venv, make and a C compiler.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
LOCKGATE_CONFORMANCE ?= ../shared/conformance
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.developed
NPM := tests/coordinator/clients/npm
CLIENTS := $(NPM)/node_modules/.installed
NATIVE := setup.py $(shell find worker -name '*.pyx' -o -name '*.pxd')
SANITIZER ?= address

.PHONY: help run test native sanitize lint conformance bench bench-control changes large-bodies soak format clean

help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(INSTALLED): pyproject.toml $(NATIVE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(DEVELOPED): $(INSTALLED)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

# A Consul client that others wrote; without npm its tests are skipped by name.
$(CLIENTS): $(NPM)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund --prefix $(NPM) && touch $@; fi

run: $(INSTALLED)    ## the quickstart in the foreground; Ctrl-C ends it
	$(BIN)/lockgate dev examples/quickstart

test: $(DEVELOPED) $(CLIENTS)  ## all tests; those whose server is not installed are skipped by name
	$(BIN)/python -m pytest -q -n $(shell expr $$(nproc) + 1) --maxprocesses 4 --dist loadfile

native: $(DEVELOPED) ## build the native modules again, in place
	$(BIN)/python setup.py -q build_ext --inplace
	@test "$$($(BIN)/python -I -m worker.relay.probe)" = native

sanitize: $(DEVELOPED) ## the native modules' tests with a sanitizer: SANITIZER=address or thread
	.ci/sanitize $(BIN)/python $(SANITIZER)

lint: $(DEVELOPED)   ## ruff, mypy and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

conformance: $(DEVELOPED)  ## how Consul decides, case by case, from $LOCKGATE_CONFORMANCE
	LOCKGATE_CONFORMANCE='$(LOCKGATE_CONFORMANCE)' $(BIN)/python -m pytest -q tests/conformance

bench: $(INSTALLED) ## Lockgate beside HAProxy and nginx: ROUNDS=5 SECONDS=2 ROWS=words PEERS=names
	@$(MAKE) --no-print-directory -C tests/bench/load
	$(BIN)/python -m tests.bench $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) \
		$(if $(ROWS),--rows $(ROWS)) $(if $(PEERS),--peers $(PEERS)) $(BENCH)

soak: $(INSTALLED)  ## full load on one Lockgate for SECONDS=600; is memory flat, are all descriptors back?
	@$(MAKE) --no-print-directory -C tests/bench/load
	$(BIN)/python -m tests.bench.soak $(if $(SECONDS),--seconds $(SECONDS)) $(SOAK)

changes: $(DEVELOPED) ## routes, splits and intentions change 20 times a second under load, for SECONDS=60
	LOCKGATE_CHANGES_SECONDS=$(or $(SECONDS),60) $(BIN)/python -m pytest -q -s \
		tests/scenarios/test_changes_under_load_fail_no_request.py

large-bodies: $(DEVELOPED) ## 1 GB up and down through a gateway: does a worker's memory stay as it is?
	LOCKGATE_BODY_MB=1024 $(BIN)/python -m pytest -q tests/scenarios/test_large_bodies_hold_memory.py

bench-control: $(INSTALLED) ## what a change costs with 500 and with 5,000 services, to the last of 8 workers
	$(BIN)/python -m tests.bench.control $(BENCH)

format: $(DEVELOPED) ## let ruff format and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:           ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info
