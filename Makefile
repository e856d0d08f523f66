# The two commands a newcomer needs: `make run` and `make test`.
# Needs only git, make and Python >= 3.11 with venv; uv is brought into .venv by itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements/lock.txt
STAMP := $(VENV)/.denchi-installed

.DEFAULT_GOAL := help
.PHONY: help run setup lock locale lint format test test-all test-all-rest faults bench evaluate promises soak fuzz outage replug pictures

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "denchi needs Python 3.11 or newer; this is $$($(PYTHON) --version). Say which with: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(STAMP): $(BIN)/uv $(LOCK) pyproject.toml
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r $(LOCK)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	@# as pip does for its users: without bytecode each start compiles what it imports, a second of it for the daemon
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib/*/site-packages firmware_protocol monitor dashboards || true
	@touch $@

setup: $(STAMP) ## create .venv with the locked versions

run: $(STAMP) ## the demo: an emulated meter, the whole path, the TUI
	$(BIN)/denchi demo

lock: $(BIN)/uv ## renew the hashed requirements lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	  --all-extras --group dev --no-emit-index-url --no-header \
	  --output-file $(LOCK) pyproject.toml requirements/build.in

locale: $(STAMP) ## compile the message catalogues
	$(BIN)/python tests/house/compile_catalogues.py

format: $(STAMP) ## format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

lint: $(STAMP) ## ruff, mypy --strict, import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(STAMP) ## the fast suite: no root, no network
	$(BIN)/pytest -n 3 --dist worksteal -m "not lab and not servers and not faults and not slow and not browser"

test-all: test test-all-rest faults ## everything: lab, servers, faults, browser

test-all-rest: $(STAMP)
	$(BIN)/pytest -n 2 --dist worksteal -m "(slow or browser) and not lab and not servers and not faults"
	$(BIN)/pytest -n 2 --dist loadgroup -m "(lab or servers) and not faults"

replug: $(STAMP) ## unplug and replug emulated devices 1,000 times; threads, handles, memory
	DENCHI_REPLUGS=1000 $(BIN)/pytest -q -s -n0 tests/drivers/test_replug.py

HOURS ?= 600
SEED ?= 0
SEEDS ?= test
evaluate: $(STAMP) ## simulated hours through gate and health, scored (HOURS=600 SEEDS=test|tune SEED=0)
	$(BIN)/python tests/evaluation/run.py --hours $(HOURS) --seeds $(SEEDS) --seed $(SEED) $(EVALUATE)

pictures: $(STAMP) ## docs/pictures, drawn by the app itself from the demo (PNG=DIR: also PNG, to look at)
	$(BIN)/python tests/tui/pictures.py $(if $(PNG),--png $(PNG))

bench: $(STAMP) ## ratios against plain yardsticks, one table
	$(BIN)/python tests/benchmarks/run.py

SECONDS ?= 3600
fuzz: $(STAMP) ## noise at every family's codec for SECONDS=3600
	$(BIN)/python tests/protocol/fuzz.py --seconds $(SECONDS)

PROMISES := tests/faults tests/store/test_aside.py tests/outputs/test_faults_of_servers.py \
  tests/outputs/test_influx_real.py tests/drivers/test_replug.py
promises: $(STAMP) ## the promises, each measured, as one table (scaled down: a few minutes)
	@rm -f .cache/promises.jsonl
	@DENCHI_PROMISES_COMMAND="make promises" $(MAKE) --no-print-directory faults FAULTS="$(PROMISES)"

# The table is printed whatever happens; what fails is a test, never a machine that was slow.
# They wait more than they work: WORKERS=2 takes half the time, one after the other gives the figures to quote.
FAULTS ?= tests/faults
WORKERS ?= 0
faults: $(STAMP)
	@DENCHI_WEAR_S=$${DENCHI_WEAR_S:-62} $(BIN)/pytest -q -n $(WORKERS) --dist worksteal -p no:cacheprovider --durations=12 $(FAULTS); status=$$?; \
	  $(BIN)/python tests/faults/figures.py || echo "a promise was not kept on this machine, see the table"; \
	  exit $$status

soak: $(STAMP) ## the same in full: 200 kills of the daemon, 24 h of outage, 1,000 replugs, an hour of 4 meters
	-DENCHI_PROMISES_COMMAND="make soak" DENCHI_KILLS=200 DENCHI_DAEMON_KILLS=200 DENCHI_WEAR_S=600 \
	  DENCHI_OUTAGE_H=24 DENCHI_OUTAGE_REAL_S=900 DENCHI_REPLUGS=1000 DENCHI_SOAK_S=3600 DENCHI_DRAIN=3000000 \
	  $(BIN)/pytest -q -n0 -p no:cacheprovider $(PROMISES)
	@$(BIN)/python tests/faults/figures.py

outage: $(STAMP) ## the long outage: 24 h at 100 samples/s on a scaled clock, 15 min of 8 meters for real
	DENCHI_PROMISES_COMMAND="make outage" DENCHI_OUTAGE_H=24 DENCHI_OUTAGE_REAL_S=900 \
	  $(BIN)/pytest -q -s -n0 -p no:cacheprovider tests/faults/test_outage.py
