# Every target sets up what it needs: Python 3.11+, pip and the package registries suffice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: demo test check bench clean
.DEFAULT_GOAL := check

# Whatever is installed for development also runs the demo; so does the demo's smaller set.
DEMO_STAMP := $(firstword $(wildcard $(VENV)/dev.stamp) $(VENV)/demo.stamp)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "error: Python 3.11 or later is needed: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --upgrade pip

$(VENV)/%.stamp: pyproject.toml | $(VENV)/bin/python
	@echo "Installing what roommood needs into $(VENV) (a minute or two, the first time) ..."
	$(BIN)/python -m pip install -qq --editable '.[$*]'
	@touch $@

demo: $(DEMO_STAMP)
	@$(BIN)/roommood demo $(ARGS)

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(ARGS)

# Some minutes; the peers go into build/bench-venv (2 GB, TensorFlow among them). ARGS=--quick
# is shorter. Figures of cost need the machine for themselves.
bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) build dist
