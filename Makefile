PYTHON := .venv/bin/python
# A file's tests stay together, and with them what they share.
PYTEST := $(PYTHON) -m pytest --durations=10 --numprocesses=auto --dist=loadfile

.DEFAULT_GOAL := help
.NOTPARALLEL:  # the tests share two cores and one screen
.PHONY: help install demo bench docs notebooks pictures screenshot test test-fast test-slow lint clean

help: ## this list
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: ## prepare .venv with the pinned packages; the targets below do this first
	@bin/prepare_venv.sh

demo: install ## search, retrain and evaluate a small network on synthetic people
	@$(PYTHON) -m cmnas_tf.demo

bench: install ## measure speed and memory against other ways; some minutes, nothing else running
	@$(PYTHON) -m benchmarks

docs: install ## build the documentation in site/, with the extra `docs`
	@$(PYTHON) -c "import material, mkdocstrings" 2>/dev/null || \
	  { echo "make docs needs more packages: $(PYTHON) -m pip install -r requirements-docs.txt" >&2; exit 2; }
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict
	@echo "open site/index.html"

notebooks: install ## run the notebooks of the documents again, with the extra `docs`
	@$(PYTHON) -c "import ipykernel, nbclient" 2>/dev/null || \
	  { echo "make notebooks needs more packages: $(PYTHON) -m pip install -r requirements-docs.txt" >&2; exit 2; }
	@$(PYTHON) -m docs.notebooks

pictures: demo ## draw the pictures of README and of a study again
	@$(PYTHON) -m docs.pictures runs/demo

screenshot: demo ## take the pictures of `cmnas browse` and of reports again, with Chromium and requirements-optional.txt
	@$(PYTHON) -m docs.screenshot runs/demo

test: lint ## everything: lint, types, and every test
	$(PYTEST)

test-fast: install ## the fast tests alone
	$(PYTEST) -m "not slow"

test-slow: install ## the slow tests alone
	$(PYTEST) -m slow

lint: install ## ruff (lint and format) and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

clean: ## remove .venv and every cache (does not install first)
	rm -rf .venv .venv-install.log .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
