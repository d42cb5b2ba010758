# Set up and run: `make demo`. Set up and test: `make test`. Both make .venv/ when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench

help:
	@echo "make demo    set up and run the whole line on demo faces: import, sweep, champion, verdicts with heatmaps, quiz, web page"
	@echo "make test    set up and run the tests"
	@echo "make lint    ruff and mypy"
	@echo "make bench   speed and quality side by side with the alternatives"

demo: $(VENV)/run.stamp
	@echo "1/5  demo faces: 400 portraits and 400 generated ones, in a small dataset"
	@$(BIN)/python -m crawler demo --into file://./data/demo --samples demo-out
	@echo "2/5  a sweep of 8 networks; the best becomes the champion"
	@$(BIN)/python tune/run.py --params params/demo.yaml
	@echo "3/5  the champion looks at two faces it has never seen"
	@$(BIN)/python -m bot check demo-out/real.jpg demo-out/fake.jpg --out demo-out
	@echo "4/5  a deck of faces for the quiz"
	@$(BIN)/python -m bot deck --faces 60 --per-person 5
	@echo "5/5  done. Look at the panels in demo-out/ and at each trial's folder in runs/demo/. What to type next:"
	@echo "       $(BIN)/python -m bot web                                      all of it in a browser: check, quiz, experiments"
	@echo "       $(BIN)/python -m bot check PHOTO.jpg                          a picture of your own"
	@echo "       $(BIN)/python -m tune.store top --sweep demo                 the leaderboard"
	@echo "       $(BIN)/python -m bot discord | telegram                       the bot in chats (docs/discord.md, docs/telegram.md)"
	@echo "       $(BIN)/python tune/run.py --params params/sweep.yaml          the real search"
	@# On a terminal the page is served until Ctrl-C; a script goes on.
	@if [ -t 1 ]; then $(BIN)/python -m bot web || [ $$? -eq 130 ]; fi

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed; name it with: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/run.stamp
