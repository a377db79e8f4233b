.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8501
ADDRESS ?= 127.0.0.1
DATA ?= ../shared/data
PEERS ?= ../shared/weights
IMAGES ?= 10000
VIDEOS ?= 2000
SEED ?= 1
SNAPSHOTS ?= ../snapshots
EFFORT ?= quick
PICTURES ?= 40
BIN := .venv/bin
# FaceLoupe starts many short processes; with compiled modules each starts in half the time.
unexport PYTHONDONTWRITEBYTECODE
STAMP := .venv/.installed
TRAINING := .venv/.training
BROWSER := .venv/.browser
DOCS := build/docs-venv
FUZZ := build/fuzz-venv

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10

setup: $(STAMP) ## create .venv and install the pinned requirements, unless this is already done

$(STAMP): requirements.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --editable .
	touch $(STAMP)

run: setup ## set up, check the weights and a sample, and start the app on http://127.0.0.1:8501 (PORT=, ADDRESS=)
	@$(BIN)/faceloupe app --port $(PORT) --address $(ADDRESS)

test: setup ## set up and run the whole test suite, in two processes
	$(BIN)/python -m pytest

coverage: setup ## run the whole test suite, list the lines not covered, and fail if coverage is below the limit in pyproject.toml
	$(BIN)/python -m pytest --cov --cov-report=term

quick: setup ## run the tests that take about a minute
	$(BIN)/python -m pytest -m "not slow and not soak"

lint: setup ## check style, formatting, types, layers, the Dockerfile and the workflows, and look for secrets
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/zizmor --offline --no-progress --quiet .github/workflows
	git ls-files -z -- . ':!weights' ':!*.png' ':!*.jpg' \
		| xargs -0 $(BIN)/detect-secrets-hook --disable-plugin HexHighEntropyString  # the repository contains many hashes

dockerfile: setup ## run the steps of the Dockerfile without a container engine, as root on Debian (ARGS=; needs debootstrap)
	$(BIN)/python -m tools.docker.chroot_image build/image $(ARGS)

lock: setup ## regenerate requirements.lock (hashes of all packages of app and API) from pyproject.toml and requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	printf 'torch\ntorchvision\n' | $(BIN)/uv pip compile pyproject.toml --extra app --extra api --constraint requirements.txt \
		--excludes /dev/stdin --universal --generate-hashes --annotation-style line --quiet \
		--custom-compile-command 'make lock' --output-file requirements.lock  # torch has different builds for each platform

bench: setup ## measure the speed, compared with simple scripts that do the same task
	$(BIN)/python -m benchmarks.still
	$(BIN)/python -m benchmarks.batch --data $(DATA)

space: setup ## assemble the public demo as a Hugging Face Space in build/space
	$(BIN)/python -m tools.space build/space

trainsetup: $(TRAINING) ## install the additional packages for training (dvc, mlflow, ...)

$(TRAINING): requirements-training.txt $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-training.txt
	touch $(TRAINING)

fuzz: setup ## feed hostile files to intake and decoders: IMAGES=, VIDEOS=, SEED=
	$(BIN)/python -m tools.fuzz --images $(IMAGES) --videos $(VIDEOS) --seed $(SEED) --analyze 100

fuzzapi: setup $(FUZZ)/.installed ## send 10,000 valid and invalid requests to the HTTP API: SEED=
	$(BIN)/python -m tools.fuzz_api --seed $(SEED) --schemathesis "$(CURDIR)/$(FUZZ)/bin/schemathesis"

$(FUZZ)/.installed: requirements-fuzz.txt
	test -x $(FUZZ)/bin/python || $(PYTHON) -m venv $(FUZZ)
	$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-fuzz.txt
	touch $@

evade: setup ## count the verdicts that change when a picture is stored, sent or rotated differently: DATA=, EFFORT=, PICTURES=
	$(BIN)/python -m tools.evade --data $(DATA) --snapshots $(SNAPSHOTS) --effort $(EFFORT) --pictures $(PICTURES)

train: trainsetup ## rebuild the weights, records, evaluation and model card that are out of date (dvc repro)
	$(BIN)/dvc repro

evaluate: trainsetup ## measure the committed models again; build/model-card.md should then equal docs/model-card.md
	$(BIN)/python -m faceloupe.training ingest --data $(DATA)
	$(BIN)/python -m faceloupe.training prepare --data $(DATA)
	$(BIN)/python -m faceloupe.training evaluate --data $(DATA) --registry weights --peers $(PEERS) \
		--card build/model-card.md

trainquick: trainsetup ## run every training stage on a tenth of the material, into build/quick, in about a quarter of an hour
	$(BIN)/dvc repro quick/dvc.yaml

docs: $(DOCS)/.installed ## build the documentation into build/docs; fail on a broken link
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet

$(DOCS)/.installed: requirements-docs.txt
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements-docs.txt
	touch $@

$(BROWSER): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check playwright==1.65.2 axe-playwright-python==0.1.8
	touch $(BROWSER)

screenshots: $(BROWSER) ## take screenshots of every page of the running app (needs Debian's chromium)
	$(BIN)/python -m docs.screenshots.take

soak: $(BROWSER) ## run the tests with many trials, then twenty browser sessions for ten minutes (needs Debian's chromium)
	$(BIN)/python -m pytest -m soak
	$(BIN)/python -m tools.soak

walk: $(BROWSER) ## run through a case, a batch, the live view and all pages in a browser (needs Debian's chromium)
	$(BIN)/python -m tools.walks.case_walk
	$(BIN)/python -m tools.walks.batch_walk
	$(BIN)/python -m tools.walks.live_walk
	$(BIN)/python -m tools.walks.access_walk

.PHONY: docs space help lock setup fuzz fuzzapi evade trainsetup run test coverage quick lint dockerfile bench train trainquick evaluate screenshots soak walk
