# Everything a clone needs: `make demo` runs the main job, `make test` every test tier.
# Both set up what they need first; a second call finds it there.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-unit test-azurebox test-ops test-lsp test-scripts test-e2e \
        test-extension bench package bicep preflight preflight-node images clean

VENV := .venv
BIN := $(VENV)/bin
# The first Python on the PATH that is new enough; empty when there is none.
PYTHON := $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell \
  $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))
# Training tests run in the training image; this is what they need beside it.
TEST_TOOLS := .test-tools
PYTEST := $(BIN)/python -m pytest

help:
	@echo "make demo      fine-tune a small model on this machine, compare it with its base, serve it"
	@echo "make test      every test tier (needs Node 20 beside Python)"
	@echo "make setup     only install: server, images, editor packages"
	@echo "make check     lint and types    make bench  benchmarks    make package  the wheel"

demo: preflight $(VENV)/.ready images
	@$(BIN)/tunesmith demo

setup: preflight preflight-node $(VENV)/.ready images $(TEST_TOOLS)/.ready extension/node_modules/.ready

preflight:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is missing. Install it: sudo apt-get install -y python3 python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is missing. Install it: sudo apt-get install -y python3-venv"; exit 1; }

preflight-node:
	@node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null || { echo "Node 20 or newer is missing. Install it: sudo apt-get install -y nodejs npm (or from nodejs.org)"; exit 1; }

# The stamp is written last, so that a killed install is done again.
$(VENV)/.ready: server/requirements.lock server/requirements-dev.lock server/pyproject.toml | preflight
	@echo "Installing the server into $(VENV) (about 150 MB, one minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -r server/requirements.lock -r server/requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e server
	@touch $@

images: $(VENV)/.ready
	@$(BIN)/tunesmith target prepare local --json > /dev/null

$(TEST_TOOLS)/.ready: server/requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --upgrade --target $(TEST_TOOLS) \
	  --constraint server/requirements-dev.lock pytest hypothesis
	@touch $@

extension/node_modules/.ready: extension/package-lock.json
	@cd extension && npm ci --no-fund --no-audit --loglevel=error
	@touch $@

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	cd extension && npm run --silent check

test: setup test-unit test-azurebox test-ops test-lsp test-scripts test-extension test-e2e

test-unit: setup
	$(PYTEST) tests/unit
test-azurebox: setup
	$(PYTEST) tests/azurebox
test-ops: setup
	$(PYTEST) tests/ops
test-lsp: setup
	$(PYTEST) tests/lsp
test-scripts: setup
	$(BIN)/python tests/in_image.py training tests/scripts --ignore-glob='*test_inference*'
	$(BIN)/python tests/in_image.py inference tests/scripts/test_inference_*.py
test-extension: setup
	cd extension && npm test --silent
test-e2e: setup
	$(PYTEST) tests/e2e

bench: setup
	$(BIN)/python benchmarks/run.py

package: $(VENV)/.ready
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist ./server
	@ls -l dist/*.whl

bicep: $(VENV)/.ready
	$(BIN)/python infra/compile.py

clean:
	rm -rf $(VENV) $(TEST_TOOLS) extension/node_modules extension/out dist demo
