# The two commands a newcomer needs are `make demo` and `make test`; CONTRIBUTING.md has the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

# Python's development mode, but for what it does to malloc: that is for extensions in C.
TEST := PYTHONDEVMODE=1 PYTHONMALLOC=pymalloc $(BIN)/python -m pytest --numprocesses=auto

.DEFAULT_GOAL := help
.PHONY: help demo test recipes check docs bench chaos proxies simulate limits mutants clean soak judge

help:
	@echo "make demo     a bot's day on a fake API; with FANVUE_ACCESS_TOKEN and USERS=\"uuid …\", open chats on the real one"
	@echo "make test     run the tests, without those of the recipes"
	@echo "make recipes  run the recipes of the documentation in their frameworks"
	@echo "make check    lint and type-check"
	@echo "make docs     build the documentation"
	@echo "make bench    measure the cost of a call"
	@echo "make chaos    make many calls against a hostile server"
	@echo "make proxies  make many calls through nginx, HAProxy and Squid, if they are installed"
	@echo "make simulate share rate limits between 50 simulated processes"
	@echo "make limits   share a rate limit between real processes, and measure what waiting costs (about 10 minutes)"
	@echo "make soak     stores, tokens, webhooks, inbox and bulk work of processes that are killed (about 20 minutes)"
	@echo "make judge    sign in before a certified authorization server (needs npm)"
	@echo "make mutants  break the package line by line; the tests must notice"
	@echo "make clean    remove what these commands made"

demo: $(VENV)/.package
	@$(BIN)/python docs/examples/create_chat.py $(USERS)

test: $(VENV)/.docs
	$(TEST) --ignore=tests/recipes --cov --cov-report=term $(ARGS)

recipes: $(VENV)/.docs
	$(TEST) tests/recipes $(ARGS)

check: $(VENV)/.docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright

docs: $(VENV)/.docs
	$(BIN)/python -W ignore -m sphinx --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.dev
	$(BIN)/python tests/benchmarks/run.py $(ARGS)
	$(BIN)/python tests/benchmarks/reading.py
	$(BIN)/python tests/benchmarks/uploads.py
	$(BIN)/python tests/benchmarks/webhooks.py

chaos: $(VENV)/.dev
	$(BIN)/python tests/faults/chaos.py $(ARGS)
	$(BIN)/python tests/faults/sends.py

proxies: $(VENV)/.dev
	ALONE=1 $(BIN)/python -m pytest --capture=no tests/proxies $(ARGS)

simulate: $(VENV)/.dev
	$(BIN)/python tests/limits/simulate.py $(ARGS)

limits: $(VENV)/.dev
	$(BIN)/python tests/limits/gate.py
	$(BIN)/python tests/limits/shared.py --calls 200
	$(BIN)/python tests/limits/shared.py --calls 200 --others 0.25

soak: $(VENV)/.docs
	for store in sqlite redis postgres; do $(BIN)/python tests/stores/soak.py $$store $(ARGS) || exit 1; done
	for store in sqlite redis; do \
	    $(BIN)/python tests/oauth/soak.py load $$store && \
	    $(BIN)/python tests/oauth/soak.py load $$store --trouble && \
	    $(BIN)/python tests/oauth/soak.py kill $$store && \
	    $(BIN)/python tests/oauth/soak.py leave $$store --rounds 200 || exit 1; \
	done
	$(BIN)/python tests/faults/deliveries.py
	$(BIN)/python tests/faults/inbox.py
	$(BIN)/python tests/faults/bulk.py

judge: $(VENV)/.dev
	npm install --silent --no-fund --no-audit --prefix build/judge oidc-provider@9.13.3 node@22.23.3
	$(BIN)/python tests/oauth/judge.py build/judge

mutants: $(VENV)/.mutants
	$(BIN)/python tests/mutants/run.py $(ARGS)

clean:
	rm -rf $(VENV) docs/_build .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist

$(VENV)/.package: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed; '$(PYTHON)' was not found. Try: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; $$($(PYTHON) --version) is too old. Try: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --editable . --constraint constraints.txt || { echo "The dependencies could not be installed; is a package index within reach of pip?"; exit 1; }
	@touch $@

$(VENV)/.dev: $(VENV)/.package requirements-dev.txt requirements-test.txt requirements-bench.txt
	@echo "Installing what the tests need …"
	@$(PIP) install --requirement requirements-dev.txt --constraint constraints.txt || { echo "The test dependencies could not be installed; is a package index within reach of pip?"; exit 1; }
	@touch $@

$(VENV)/.docs: $(VENV)/.dev requirements-docs.txt
	@echo "Installing what the documentation and its recipes need …"
	@$(PIP) install --requirement requirements-docs.txt --constraint constraints.txt || { echo "The documentation's dependencies could not be installed; is a package index within reach of pip?"; exit 1; }
	@touch $@

$(VENV)/.mutants: $(VENV)/.dev requirements-mutants.txt
	@echo "Installing what makes the mutants …"
	@$(PIP) install --requirement requirements-mutants.txt --constraint constraints.txt || { echo "What makes the mutants could not be installed; is a package index within reach of pip?"; exit 1; }
	@touch $@
