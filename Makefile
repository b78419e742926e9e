# make demo, make test: everything from a fresh clone, with Python 3.11 or newer and nothing else.
# With an NVIDIA GPU, name the build of torch that suits its driver: make TORCH="torch --index-url …" demo (see docs)

PYTHON ?= python3
TORCH ?= torch==2.13.0
BIN := .venv/bin
DATA := $(wildcard ../shared/data)
export MEDEOR_DATA ?= $(if $(DATA),$(abspath $(DATA)))

.PHONY: demo test test-slow lint bench docs clean

demo: .venv/ready
	$(BIN)/medeor demo --out runs/demo

test: .venv/ready-dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-slow: .venv/ready-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

lint: .venv/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/ready-dev
	$(BIN)/python -m bench

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable ".[all]"
	touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv runs dist build
