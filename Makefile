.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8501
ADDRESS ?= 127.0.0.1
DATA ?= ../shared/data
TRUNK ?= ../shared/weights/mobilenet_v3_small_imagenet_features.safetensors
BIN := .venv/bin
STAMP := .venv/.installed

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

setup: $(STAMP) ## create .venv and install the pinned requirements; does nothing where that is done

$(STAMP): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

run: setup ## set up, check the weights and a sample, start the app on http://127.0.0.1:8501 (PORT=, ADDRESS=)
	@$(BIN)/python -m faceloupe.ui.serve --server.port $(PORT) --server.address $(ADDRESS)

test: setup ## set up and run the whole test suite
	$(BIN)/python -m pytest

quick: setup ## run the tests that take about a minute
	$(BIN)/python -m pytest -m "not slow"

lint: setup ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup ## measure speed against a named rival
	$(BIN)/python -m tests.bench

train: setup ## rebuild the default weights, record and card (DATA=, TRUNK=); under an hour on 2 cores
	$(BIN)/python -m faceloupe.training prepare --data $(DATA)
	$(BIN)/python -m faceloupe.training train --data $(DATA) --trunk $(TRUNK)
	mkdir -p build/finish && cp build/training/faces.csv build/finish/
	$(BIN)/python -m faceloupe.training --work build/finish train --profile finish --data $(DATA) \
		--trunk build/training/weights.safetensors
	$(BIN)/python -m faceloupe.training --work build/finish register --profile finish --data $(DATA)

screenshots: setup ## photograph every page of the running app (needs Debian's chromium)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check playwright==1.65.2
	$(BIN)/python docs/screenshots/take.py

.PHONY: help setup run test quick lint bench train screenshots
