# `make` alone prints what there is. Every target makes the environment it needs.

PYTHON ?= python3
VENV ?= .venv
# Test processes at a time.
JOBS ?= 2

PACKAGES := certportal renewal revocation inventory
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install -qq --require-hashes
MANAGE := $(PY) manage.py
# Checks that write nothing still read settings, which make secrets: not among those of a running portal.
CHECK := CERTPORTAL_HOME=var/lint PYTHONWARNINGS=ignore::RuntimeWarning $(MANAGE)

.DEFAULT_GOAL := help
.PHONY: help run test e2e e2e-deps lint format bench screenshots shell

help:  ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.run  ## Start the whole portal, demo included; Ctrl-C stops it, the next start continues
	@$(MANAGE) up

test: $(VENV)/.dev  ## Run every test that needs no Debian package; ARGS="-k name" narrows it
	@$(PY) -m pytest -m "not e2e" -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

e2e: $(VENV)/.dev  ## Run the tests against real peers; `make e2e-deps` installs those
	@$(PY) -m pytest -m e2e -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

e2e-deps:  ## Install the peers of `make e2e` on Debian (needs root)
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
		strongswan-pki libstrongswan-extra-plugins libstrongswan-standard-plugins gnutls-bin openssl faketime \
		curl chromium nginx-light mosquitto mosquitto-clients scep softhsm2

lint: $(VENV)/.dev  ## Check style, types, imports, migrations, deployment settings and the API schema
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy $(PACKAGES) tests $(wildcard benchmarks)
	@$(VENV)/bin/lint-imports
	@$(CHECK) makemigrations --check --dry-run
	@$(CHECK) lint_migrations
	@CERTPORTAL_HTTPS=1 $(CHECK) check --deploy --fail-level WARNING
	@$(CHECK) spectacular --validate --fail-on-warn --file /dev/null

format: $(VENV)/.dev  ## Let ruff rewrite what it can
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(VENV)/.dev  ## Run the benchmarks: NAME=crl for one, SIZE=small for seconds instead of minutes
	@$(PY) -m benchmarks $(if $(NAME),--name $(NAME)) $(if $(SIZE),--size $(SIZE))

screenshots: $(VENV)/.dev  ## Take the pictures of the handbook anew, of a portal of their own; needs chromium
	@$(PY) -m tests.e2e.screenshots

shell: $(VENV)/.run  ## Open a Python shell with the models loaded
	@$(MANAGE) shell

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "certportal needs Python 3.11 or later as $(PYTHON); name another with make PYTHON=/path/to/python3." >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks the venv module (Debian: apt-get install python3-venv)." >&2; \
		exit 1; }
	@echo "Making the environment $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

# The stamps are newer than the locks they were made from.
$(VENV)/.run: requirements.lock | $(PY)
	@echo "Installing the $$(grep -c == $<) packages of $<, once for each change of it ..."
	@$(PIP) -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(PY)
	@echo "Installing the $$(grep -c == $<) packages of $<, once for each change of it ..."
	@$(PIP) -r requirements-dev.lock
	@touch $@
