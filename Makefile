# Two commands for a newcomer: `make demo` and `make test`. Each makes the
# environment it needs in .venv from pinned requirements.
PYTHON ?= python3
# For pip, e.g. PIP_ARGS="--index-url https://mirror.example/simple".
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PINS := requirements.txt constraints.txt

.PHONY: demo test test-fast lint format benchmark clean

demo: $(VENV)/.installed-user
	$(BIN)/python main.py --config=configs/fsnet_fcn8.py $(ARGS)

# Every test, those against PyTorch included.
test: $(VENV)/.installed-parity
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

# A minute or two: no PyTorch, no end-to-end runs.
test-fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --ignore=tests/parity --ignore=tests/e2e \
	  --ignore=tests/multiprocess $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Ratios against PyTorch and scikit-learn on this machine.
benchmark: $(VENV)/.installed-parity
	$(BIN)/python -m benchmarks.failure_metrics
	$(BIN)/python -m benchmarks.train_step

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than 3.11: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-user: $(BIN)/python $(PINS)
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-user requirements-dev.txt
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -r requirements-dev.txt
	touch $@

$(VENV)/.installed-parity: $(VENV)/.installed-dev requirements-parity.txt
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) -r requirements-parity.txt
	touch $@
