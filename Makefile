# Everything from a fresh clone with Python 3.11+: `make demo`, `make test`.
PYTHON ?= python3
VENV   ?= .venv
SERVE  ?= 1
TASK   ?= classification

BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo test check bench wheel clean
.DEFAULT_GOAL := help
.PHONY: help
help:
	@echo "make demo   set up, draw sample data, train, evaluate, package, serve (SERVE=0: stop after one prediction)"
	@echo "make test   set up and run every test"
	@echo "make check  lint, types, architecture"
	@echo "make bench  measure this machine (results in bench/results)"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[train,dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m examples.demo --task $(TASK) $(if $(filter 0,$(SERVE)),--no-serve)

test: $(STAMP)
	$(BIN)/python -m pytest

check: $(STAMP)
	$(BIN)/ruff check src tests bench examples
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vulture
	$(BIN)/python tests/architecture/long_rooms.py

bench: $(STAMP)
	$(BIN)/python -m bench

wheel: $(STAMP)
	$(BIN)/python -m build --wheel

clean:
	rm -rf $(VENV) demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
