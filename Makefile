# Everything runs in .venv at the root: `make demo` and `make test` need only Python >= 3.11 and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
JOBS ?= 4

.PHONY: demo test check bench format lock clean

demo: .venv/.demo
	@$(BIN)/backburner demo $(ARGS)

# Databases in memory where the machine has room for files there: the tests write a lot and keep nothing.
test: export TMPDIR ?= $(shell [ -w /dev/shm ] && echo /dev/shm || echo /tmp)
test: .venv/.dev
	@$(BIN)/python -m pytest -n $(JOBS) --dist load $(ARGS)

check: .venv/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: .venv/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

format: .venv/.dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# Pins every package with its hashes, for every platform; needs uv on the PATH.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-emit-package backburner --no-emit-package backburner-apps --no-header
lock:
	$(LOCK) requirements/demo.in -o requirements/demo.txt
	$(LOCK) -c requirements/demo.txt requirements/demo.in requirements/dev.in -o requirements/dev.txt

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "backburner needs Python 3.11 or newer: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv

.venv/.%: requirements/%.txt pyproject.toml apps/pyproject.toml | .venv/bin/python
	@echo "Installing what requirements/$*.txt pins (the first time only)" >&2
	@$(PIP) --require-hashes -r $< >&2
	@$(PIP) --no-build-isolation --no-deps -e . -e ./apps >&2
	@touch $@

clean:
	rm -rf .venv build dist
