# `make demo` and `make test` need Python 3.11 to 3.14 and nothing else: they set up the rest in .venv.
SUPPORTED := 3.11 3.12 3.13 3.14
# The first that is there and runs: a name may be that of a version manager's stub.
PYTHON ?= $(firstword $(foreach v,$(SUPPORTED),$(shell python$(v) -c 'import venv, ensurepip' 2>/dev/null && echo python$(v))))
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
PYTEST := $(BIN)/python -m pytest
# Most tests wait more than they compute, so three processes share them file by file; WORKERS=0 runs all in one.
WORKERS ?= 3
SHARED := -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-long test-pooler test-secure bench chaos minds restore-drill conformance model neighbours image chart alerts matrix upgrade-test check format clean
help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "no Python of $(SUPPORTED) (with venv and pip: on Debian apt-get install python3-venv) is on the PATH; install one, or say where: make PYTHON=/path/to/python3"; exit 2; }
	@echo "Setting up $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { echo "that did not work; say another with: make PYTHON=/path/to/python3"; exit 2; }

$(RUN): $(VENV)/bin/python requirements.lock pyproject.toml
	@echo "Installing what the pipeline needs (hash-checked; a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(RUN)

$(DEV): $(RUN) requirements-dev.lock
	@echo "Installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@touch $(DEV)

demo: $(RUN)  ## the whole pipeline, once, with every kind of order
	@$(BIN)/payments demo $(ARGS)

test: $(DEV)  ## all tests but the longest
	@$(BIN)/python -m tests.servers.fast_start
	@$(PYTEST) $(SHARED) -m "not long and not conformance and not model and not neighbours" $(ARGS)

test-long: $(DEV)  ## the longer forms of the kill and outage tests
	@$(BIN)/python -m tests.servers.fast_start
	@$(PYTEST) $(SHARED) -m "not conformance and not model and not neighbours" $(ARGS)

test-pooler: $(DEV)  ## behind PgBouncer, which must be installed (apt-get install pgbouncer)
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer >/dev/null || \
		{ echo "test-pooler needs PgBouncer: apt-get install pgbouncer, or your system's like, then again"; exit 2; }
	@$(PYTEST) tests/pooler -m pooler $(ARGS)

test-secure: $(DEV)  ## TLS, logins, tokens, rights and roles on real servers (needs PostgreSQL with TLS: apt-get install postgresql)
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || \
		{ echo "test-secure needs PostgreSQL with TLS, which the embedded one lacks: apt-get install postgresql, then again"; exit 2; }
	@$(PYTEST) tests/secure -m secure $(ARGS)

bench: $(RUN)  ## side by side with its peers and the limit; ARGS=--quick for the short form
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: $(DEV)  ## faults dealt to the real thing while orders flow; ORDERS=20000 FAULTS=200 SEED=1 for the long form
	@$(BIN)/python -m tests.chaos --orders $(or $(ORDERS),900) --faults $(or $(FAULTS),30) --seed $(or $(SEED),1) $(ARGS)

minds: $(DEV)  ## cancels and refunds on request, on the real thing; ORDERS=2000 REQUESTS=10000 KILLS=20 SEED=1
	@$(BIN)/python -m tests.minds cancels --orders $(or $(ORDERS),2000) --kills $(or $(KILLS),20) --seed $(or $(SEED),1) $(ARGS)
	@$(BIN)/python -m tests.minds refunds --requests $(or $(REQUESTS),10000) --kills $(or $(KILLS),20) --seed $(or $(SEED),1) $(ARGS)

restore-drill: $(DEV)  ## a database restored under load, then a lost disk of Kafka (deploy/RESTORE.md); AGO="--ago 30" SEED=1
	@$(BIN)/python -m tests.restoring database $(or $(AGO),--ago 10 --ago 30) --seed $(or $(SEED),1) $(ARGS)
	@$(BIN)/python -m tests.restoring database --inventory http $(or $(AGO),--ago 20) --seed $(or $(SEED),2) $(ARGS)
	@$(BIN)/python -m tests.restoring disk --seed $(or $(SEED),3) $(ARGS)

conformance: $(DEV)  ## adapter and sandbox before stripe-mock, Stripe's specification and localstripe (needs Go the first time)
	@$(BIN)/python -m tests.conformance $(ARGS)
	@$(PYTEST) tests/conformance -m conformance

model: $(DEV)  ## the protocol's model in Spin, and the mistakes that it must find (apt-get install spin gcc); ARGS=--long for larger bounds
	@$(BIN)/python -m tests.model $(ARGS)

neighbours: $(DEV)  ## kits of other teams' languages and their tools before the real pipeline (downloads the first time); ARGS="--only java"
	@$(BIN)/python -m tests.neighbours $(ARGS)
	@$(PYTEST) tests/neighbours -m neighbours

image: $(DEV)  ## the image, built and run on a real Docker engine; ARGS="--base IMAGE", or --own-engine where no registry is reached
	@$(BIN)/python -m tests.image $(ARGS)

chart: $(DEV)  ## the Helm chart rendered, refused and validated (needs Go the first time); ARGS=--write renews what is kept
	@$(BIN)/python -m tests.chart $(ARGS)

alerts: $(DEV)  ## the rules with promtool, the dashboard's queries with a real Prometheus (apt-get install prometheus); ARGS=--running tries each on a running pipeline
	@$(BIN)/python -m tests.alerts $(ARGS)

matrix: $(DEV)  ## the short end-to-end form on each Kafka, PostgreSQL and Python that it is meant for and that is here; ARGS="--only kafka=3.9"
	@$(BIN)/python -m tests.matrix $(ARGS)

upgrade-test: $(DEV)  ## this release and others side by side under load, there and back; ARGS="--pair A", --load 3 on a busy machine
	@$(BIN)/python -m tests.upgrade $(ARGS)

check: $(DEV)  ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(DEV)  ## format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean:  ## forget the environment and the embedded servers' data
	@rm -rf $(VENV) .payments
