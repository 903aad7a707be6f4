# Everything runs from .venv, which the first target that needs it makes.

# The first of these that runs and is new enough; a version manager's stub may exist and not run.
PYTHON = $(shell for name in python3.13 python3.12 python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$name && break; done)
UV := $(shell command -v uv 2>/dev/null)
SYNC := sync --frozen --inexact --all-extras
RUN := .venv/bin/python
INSTALLED := .venv/.installed-from-lock

# Tests wait for processes and networks most of the time, so two cores have work for four.
TEST_WORKERS := 4

BUILDER_IMAGE ?= scalemesh-builder
SERVER_IMAGE ?= scalemesh
# Without a Docker that runs: buildah in its plainest way, which works inside a container too. Docker's format
# has the health check, the standard one hasn't.
BUILD_IMAGE ?= $(if $(shell docker ps >/dev/null 2>&1 && echo yes),docker build,\
	buildah build --format docker --layers --isolation chroot --network host)

# uv must use the Python of this machine, not fetch one.
export UV_PYTHON_DOWNLOADS := never

# Set in some images, it would have every server and builder compile all that it imports, seconds each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo test test-faults test-containers builder-image server-image check settings-docs \
	bench bench-builds bench-logs clean browser

help:
	@echo 'make run     start Scale Mesh on http://localhost:9000'
	@echo 'make demo    deploy an example app from its repository to a URL, and fetch its page'
	@echo 'make test    run the tests, browser tests included'
	@echo 'make test-faults  kill servers and builders for minutes, and check that nothing broke'
	@echo 'make builder-image    build the image for BUILDER=docker'
	@echo 'make server-image     build the image of the server'
	@echo 'make test-containers  run the tests that need both images, on Docker or Podman'
	@echo 'make check   run ruff, mypy and import-linter'
	@echo 'make settings-docs    write docs/settings.md anew from the settings class'
	@echo 'make bench   measure speed and memory, beside nginx, Caddy and a Go proxy where they are installed'
	@echo 'make bench-builds  measure builds against the same commands by hand, large uploads, a long queue'
	@echo 'make bench-logs  measure the live log under a thousand watchers'
	@echo 'make clean   remove .venv and every cache; data in .scalemesh stays'

run: $(INSTALLED)
	$(RUN) scalemesh.py

demo: $(INSTALLED)
	$(RUN) scalemesh.py demo

test: $(INSTALLED) browser
	$(RUN) -m pytest --numprocesses $(TEST_WORKERS) --dist worksteal

# Its short form is part of `make test`. FAULTS_SEED=… draws the same deploys and kills again.
test-faults: $(INSTALLED)
	TEST_FAULTS=1 $(RUN) -m pytest -m faults --capture=no

# Not part of `make test`: the image takes two minutes to build, and few machines have an engine.
test-containers: $(INSTALLED) builder-image server-image
	TEST_CONTAINERS=1 $(RUN) -m pytest -m containers

builder-image:
	$(BUILD_IMAGE) -t $(BUILDER_IMAGE) builder/

server-image:
	$(BUILD_IMAGE) -t $(SERVER_IMAGE) .

check: $(INSTALLED)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	@# scalemesh.py and scalemesh/ are one module name to mypy, so each has a run of its own.
	.venv/bin/mypy scalemesh.py
	.venv/bin/mypy -p scalemesh -p builder -p tests -p bench
	.venv/bin/lint-imports

settings-docs: $(INSTALLED)
	$(RUN) scalemesh.py settings-docs > docs/settings.md

bench: $(INSTALLED)
	$(RUN) -m bench

bench-builds: $(INSTALLED)
	$(RUN) -m bench builds

bench-logs: $(INSTALLED)
	$(RUN) -m bench logs

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

browser:
	@.ci/install chromium

# A Python is named only where .venv is made: uv replaces an existing .venv whose Python has another path.
.venv/bin/python:
	@$(if $(PYTHON),,$(error Scale Mesh needs Python 3.11 or newer. On Debian or Ubuntu: apt-get install python3 python3-venv))
ifneq ($(UV),)
	$(UV) venv --python $(PYTHON) .venv
else
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'Python is here without venv. On Debian or Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv .venv
endif

$(INSTALLED): pyproject.toml uv.lock | .venv/bin/python
ifneq ($(UV),)
	$(UV) $(SYNC)
else
	test -x .venv/bin/uv || .venv/bin/python -m pip install --quiet uv
	.venv/bin/uv $(SYNC)
endif
	@touch $@
