# One interface for people and CI. The first target that needs it sets up .venv; PYTHON=... chooses the interpreter.

SHELL := /bin/sh
.DEFAULT_GOAL := help

export PYTHON
# Each command is a new process that imports a lot: without compiled modules it would take twice as long.
unexport PYTHONDONTWRITEBYTECODE
RUN := .venv/bin/python
# The bootstrap itself runs on any Python 3, to say what is missing where none will do.
BOOTSTRAP := $(firstword $(shell command -v python3 || command -v python3.13 || command -v python3.12 || command -v python3.11) $(PYTHON) python3)

# Files in their order: by the number of tests those of few and long ones would come last.
BOTH := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo test test-slow test-all check format bench bench-list docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

setup: ## make .venv from requirements.lock (uv where present, else pip); PYTHON=... chooses the interpreter
	@command -v $(BOOTSTRAP) >/dev/null || { echo "sereno: no python3 found; install Python 3.11, 3.12 or 3.13" >&2; exit 2; }
	@$(BOOTSTRAP) .ci/bootstrap.py

demo: setup ## a simulated week, all stages; ends with what was found and `report: PATH`
	@.venv/bin/sereno demo

test: setup ## the tests, without the slow ones (ARGS=... goes to pytest)
	@$(RUN) -m pytest $(BOTH) -m "not slow" $(ARGS)

test-slow: setup ## only the slow tests
	@$(RUN) -m pytest -m slow $(ARGS)

test-all: setup ## all tests
	@$(RUN) -m pytest $(BOTH) $(ARGS)

check: setup ## ruff, mypy strict, the direction of imports, the docs tests; all of them, then the verdict
	@failed=; \
	for step in "ruff check ." "ruff format --check ." "mypy" "pytest -q tests/contracts/test_docs.py tests/contracts/test_imports.py"; do \
	  echo "== $$step"; $(RUN) -m $$step || failed="$$failed [$$step]"; \
	done; \
	if [ -n "$$failed" ]; then echo "check failed:$$failed" >&2; exit 1; fi; echo "check: clean"

format: setup ## put the layout right and mend what ruff can mend
	@$(RUN) -m ruff check --fix . ; $(RUN) -m ruff format .

bench: setup ## run one benchmark: make bench BENCH=startup; one JSON line for each measure
	@$(RUN) tests/benchmarks/__main__.py run "$(BENCH)"

bench-list: setup ## list the benchmarks
	@$(RUN) tests/benchmarks/__main__.py list

docs: setup ## write the reference pages anew from the code
	@$(RUN) docs/generate.py

lock: setup ## solve the dependencies anew into requirements.lock (needs uv)
	@$(RUN) .ci/lock.py

clean: ## remove .venv and every cache (no project folder, no state)
	rm -rf .venv .venv.lock build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find flows tasks schemas models infra tests docs .ci -name __pycache__ -type d -prune -exec rm -rf {} +
