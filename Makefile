# Two commands for a newcomer: `make demo` and `make test`. Each makes the
# environment it needs in .venv from pinned requirements.
PYTHON ?= python3
# For pip, e.g. PIP_ARGS="--index-url https://mirror.example/simple".
PIP_ARGS ?=
# Memory in huge pages: compiling and running programs take a tenth less time.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1
# Tests start many processes: they find this package's modules compiled.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
PINS := requirements.txt constraints.txt

.PHONY: demo test test-fast test-label-studio test-fleet lint format benchmark clean

demo: $(VENV)/.installed-user
	$(BIN)/python main.py --config=configs/fsnet_fcn8.py $(ARGS)

# Every test, those against PyTorch included.
TEST := $(BIN)/python -m pytest -n 2 --dist worksteal --durations=20
test: $(VENV)/.installed-parity
	$(TEST) $(ARGS)

# Up to two minutes; what is left out are whole runs, and what needs PyTorch,
# real data or an installed wheel: see CONTRIBUTING.md.
SLOW := e2e launcher multiprocess parity real fsnet_jax/experiments \
  segxal_jax/experiments segxal_jax/loop
test-fast: $(VENV)/.installed-dev
	$(TEST) -m 'not slow' $(SLOW:%=--ignore=tests/%) $(ARGS)

# The human oracle against a real server, in an environment of its own; with
# BROWSER=no without the test that needs Chromium.
BROWSER ?= yes
LS_VENV := .venv-label-studio
test-label-studio: $(VENV)/.installed-parity $(LS_VENV)/.installed
	@[ "$(BROWSER)" = no ] || command -v chromium > /dev/null || \
	  { echo "error: chromium is missing: apt-get install chromium, or make test-label-studio BROWSER=no" >&2; exit 2; }
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/label_studio \
	  $(if $(filter no,$(BROWSER)),--ignore=tests/label_studio/test_browser.py) $(ARGS)

# An exported monitor in a pipeline of Apache Beam, in an environment of its own
# that has no jax.
FLEET_VENV := .venv-fleet
test-fleet: $(VENV)/.installed-dev $(FLEET_VENV)/.installed
	$(BIN)/python -m pytest tests/fsnet_jax/monitor/fleet $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check --python-interpreter-path $(BIN)/python

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Ratios against PyTorch and scikit-learn on this machine.
benchmark: $(VENV)/.installed-parity
	$(BIN)/python -m benchmarks.failure_metrics
	$(BIN)/python -m benchmarks.train_step

clean:
	rm -rf $(VENV) $(LS_VENV) $(FLEET_VENV) .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-user: $(BIN)/python $(PINS) pyproject.toml
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps $(PIP_ARGS) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-user requirements-dev.txt
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -r requirements-dev.txt
	touch $@

$(VENV)/.installed-parity: $(VENV)/.installed-dev requirements-parity.txt
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -r requirements-parity.txt
	touch $@

# With an empty database that every test run starts from.
$(LS_VENV)/.installed: $(BIN)/python requirements-label-studio.txt
	rm -rf $(LS_VENV)
	$(PYTHON) -m venv $(LS_VENV)
	$(LS_VENV)/bin/python -m pip install --quiet $(PIP_ARGS) -r requirements-label-studio.txt
	env -u CI HOME=$(CURDIR)/$(LS_VENV) SENTRY_DSN= FRONTEND_SENTRY_DSN= \
	  LABEL_STUDIO_COLLECT_ANALYTICS=false LABEL_STUDIO_LATEST_VERSION_CHECK=false \
	  $(LS_VENV)/bin/label-studio init -q --data-dir $(LS_VENV)/template \
	  < /dev/null > $(LS_VENV)/init.log 2>&1 || { cat $(LS_VENV)/init.log >&2; exit 1; }
	rm -f $(LS_VENV)/template/.env
	touch $@

$(FLEET_VENV)/.installed: requirements-fleet.txt
	rm -rf $(FLEET_VENV)
	$(PYTHON) -m venv $(FLEET_VENV)
	$(FLEET_VENV)/bin/python -m pip install --quiet $(PIP_ARGS) -r requirements-fleet.txt
	touch $@
