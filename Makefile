# Everything here needs only Python 3.11+, make and git. `make test` sets itself up.
PYTHON   ?= python3
VENV     := .venv
BIN      := $(VENV)/bin
COMPILED := .venv-compiled
UV       := uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --no-annotate --generate-hashes -q
INSTALL  := -m pip install --quiet --disable-pip-version-check
CHECKED  := src tests bench docs
export OMP_WAIT_POLICY := passive

# Asked for by name, another Python than the one that is set up takes its place.
ifneq ($(origin PYTHON),file)
$(shell for venv in $(VENV) $(COMPILED); do \
  if test -d $$venv && ! test "$$($$venv/bin/python -V 2>&1)" = "$$($(PYTHON) -V 2>&1)"; then rm -rf $$venv; fi; done)
endif

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-compiled faults mutations lint check bench bench-quality docs screenshots lock clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## make .venv from requirements.lock

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "Setting up $(VENV) from requirements.lock (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tilth needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.12" % sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(INSTALL) --require-hashes -r requirements.lock
	@$(BIN)/python $(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(COMPILED)/.ready: $(VENV)/.ready requirements-compiled.lock
	@echo "Setting up $(COMPILED) with sqlglot's compiled build (once) ..."
	@$(PYTHON) -m venv $(COMPILED)
	@$(COMPILED)/bin/python $(INSTALL) --require-hashes -r requirements.lock
	@$(COMPILED)/bin/python $(INSTALL) --require-hashes --no-deps -r requirements-compiled.lock
	@$(COMPILED)/bin/python $(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

demo: setup  ## the whole loop on real flights: plan, apply, predict, drift, retrain, swap, roll back
	@$(BIN)/tilth demo

test: setup  ## all tests
	@$(BIN)/python -m pytest

# What breaks things on purpose.
FAULTS := tests/faults tests/contract/test_crashes.py tests/contract/test_members.py tests/contract/test_worker_ends.py \
  tests/contract/test_http_bounds.py tests/contract/test_predictions.py

faults: setup  ## kills, crash states, crafted files, floods and full disks, by the hundred: bounded in time, seeds printed
	@TILTH_FAULTS=100 $(BIN)/python -m pytest -s -n 0 -o addopts= $(FAULTS)

mutations: setup  ## break the code one line at a time, and fail where no unit or contract test notices: a quarter of an hour
	@$(BIN)/python tests/mutations/run.py

# What reads statements and queries, and what asks through them.
PARSING := tests/unit/sql tests/unit/kinds tests/unit/resources tests/unit/plan tests/unit/data tests/docs tests/journey/test_questions.py tests/journey/test_apply.py

test-compiled: $(COMPILED)/.ready  ## the tests that depend on the parser again, with sqlglot's compiled build
	@TILTH_EXPECT_COMPILED=1 $(COMPILED)/bin/python -m pytest $(PARSING)

lint: setup  ## format, lint, types, contracts, and whether the reference page is the code's
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python docs/generate.py --check

check: lint  ## lint, and the unit and docs tests: under a minute
	@$(BIN)/python -m pytest tests/unit tests/docs

bench: setup  ## measure everything and write bench/RESULTS.md
	@$(BIN)/python bench/run.py

docs: setup  ## make docs/reference.md anew from the code
	@$(BIN)/python docs/generate.py

screenshots: setup  ## make the pictures of README anew from the demo's project; needs Chromium
	@rm -rf .demo && $(BIN)/tilth demo --keep .demo/flights
	@$(BIN)/python docs/screenshots.py .demo/flights

# What KServe's package asks for and its client does not use.
UNUSED := kubernetes pillow aiohttp aiohttp-retry aiohappyeyeballs aiosignal frozenlist multidict propcache yarl attrs oauthlib \
  requests-oauthlib websocket-client durationpy pyasn1 pyjwt uvloop watchfiles websockets uvicorn httptools tabulate timing-asgi \
  prometheus-client python-dotenv grpc-interceptor grpcio-tools cryptography cffi pycparser colorama setuptools

bench-quality: $(VENV)/.ready  ## engines side by side on the tasks of TILTH_BENCH_TASKS (hours; environments of their own)
	$(BIN)/python bench/run.py quality

lock:  ## make the lock files anew (needs uv)
	$(UV) pyproject.toml --extra demo --extra dev --extra xgboost --extra catboost --extra mysql --extra onnx --extra search --extra forecast --extra s3 --extra excel --extra delta --extra iceberg --extra odcs -o requirements.lock
	echo "sqlglot[c]" | $(UV) - -c requirements.lock -o requirements-compiled.lock
	$(UV) src/tilth/adapters/learners/autogluon.in -o src/tilth/adapters/learners/autogluon.lock
	$(UV) bench/peers/flaml.in -o bench/peers/flaml.lock
	$(UV) bench/peers/autogluon_ts.in -o bench/peers/autogluon_ts.lock
	$(UV) tests/clients/mlflow.in -c requirements.lock -o tests/clients/mlflow.lock
	$(UV) tests/clients/sql.in -c requirements.lock -o tests/clients/sql.lock
	$(UV) tests/clients/requirements.in $(UNUSED:%=--no-emit-package %) -o tests/clients/requirements.lock

clean:  ## remove what was set up and cached here
	rm -rf $(VENV) $(COMPILED) .venv-clients .venv-clients.lock .venv-mlflow .venv-mlflow.lock .venv-sql .venv-sql.lock .venv-autogluon .venv-flaml .venv-autogluon_ts .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
