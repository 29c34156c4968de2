# Two commands for people: `make bench` shows the whole job without hardware, `make test` checks it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed
FUZZ := $(VENV)/.fuzz-installed
FUZZ_RUNS ?= 1000000
FUZZ_SEED ?= 1

.DEFAULT_GOAL := help
.PHONY: campaign-acceptance campaign-infrastructure help bench test lint types pytest benchmark campaign-pairings campaign-sixteen campaign-flood campaign-faults campaign-leases campaign-history fuzz fuzz-short clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "labctl needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "Python's venv module is missing. On Debian: apt install python3-venv" >&2; exit 1; }

$(RUN): $(VENV)/pyvenv.cfg requirements/run.txt pyproject.toml
	@echo "installing labctl into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): $(RUN) requirements/test.txt
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/test.txt
	@touch $@

bench: $(RUN)  ## pair eight virtual devices on both bands, serve them for 24 h of rig time, report
	@$(BIN)/labctl bench rigs/virtual-dual-band.yaml

test: lint types pytest  ## all tests, lint and types

lint: $(DEV)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(DEV)
	@$(BIN)/mypy

pytest: $(DEV)
	@$(BIN)/pytest -n 2 --dist loadgroup

benchmark: $(DEV)  ## ratios of docs/performance.md, each measured in one run
	@for f in benchmarks/bench_*.py; do $(BIN)/python $$f || exit 1; done

campaign-pairings: $(DEV)  ## 1,000 pairings with random misfortune
	@$(BIN)/python campaigns/pairings.py

campaign-sixteen: $(DEV)  ## a full device log of all kinds for 24 h of rig time
	@$(BIN)/python campaigns/sixteen.py

campaign-faults: $(DEV)  ## 500 random faults in 24 h of rig time: each survived and marked
	@$(BIN)/python campaigns/faults.py

campaign-flood: $(DEV)  ## what 200 requests a second from one CAD cost the others
	@$(BIN)/python campaigns/flood.py

campaign-acceptance: $(DEV)  ## 20 acceptance campaigns on good devices: no fail, no infrastructure error
	@$(BIN)/python campaigns/acceptance.py

campaign-infrastructure: $(DEV)  ## 30 faults of the rig while good devices are judged: none is the product's
	@$(BIN)/python campaigns/infrastructure.py

campaign-leases: $(DEV)  ## two users fight over three rigs, 10,000 rounds, killed and stopped at random
	@$(BIN)/python campaigns/leases.py

campaign-history: $(DEV)  ## a year of 200 streams of nights: false alarms, and nights until a rise is found
	@$(BIN)/python campaigns/history.py

.PHONY: campaign-survey-plans
campaign-survey-plans: $(DEV)  ## how often a survey's verdicts are wrong, and what they cost in probes
	@$(BIN)/python campaigns/survey_plans.py

$(FUZZ): $(DEV) requirements/fuzz.txt
	@echo "installing atheris ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements/fuzz.txt
	@touch $@

fuzz: $(FUZZ)  ## malformed traffic at the hub and its decoders, guided by coverage (FUZZ_RUNS, FUZZ_SEED)
	@$(BIN)/python -m fuzz.run --runs $(FUZZ_RUNS) --seed $(FUZZ_SEED)

fuzz-short: $(DEV)  ## the same without atheris, as the test-suite has it
	@$(BIN)/pytest -q tests/fuzz

clean:  ## remove the virtual environment and what runs left behind
	rm -rf $(VENV) reports labctl.db labctl.db-shm labctl.db-wal .labctl
