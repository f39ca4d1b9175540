# make check: the tests that every change must pass.  make test: all tests, also with real phones:
# first those of make check, then those of real programs, then those that need the machine alone.
# make siege: tests that take many minutes and print figures; fuzzing takes SIEGE_SECONDS=60 each;
# and the tests of make check once more, in the compiled copy.

VENV := .venv
PYTHON := $(VENV)/bin/python
# Debian's Python is 2 to 17 % faster than one built without profile-guided optimisation.
DEBIANS := /usr/bin/python3.11
STAMP := $(VENV)/.installed
# A directory in memory, so that the databases of a thousand tests do not wait for the disk.
QUICK := $(shell test -w /dev/shm && echo /dev/shm || echo /tmp)

# Each part of `make test` runs, one after the other, also if one before it has failed.
MAKEFLAGS += --keep-going
.NOTPARALLEL:
.PHONY: run check test test-wire test-alone siege
.PHONY: bench bench-quick compiled test-compiled messages requirements clean

run: $(STAMP)
	$(PYTHON) sipserver.py

check: $(STAMP)
	$(VENV)/bin/ruff format --check --quiet .
	$(VENV)/bin/ruff check --quiet .
	$(VENV)/bin/mypy
	PYTEST_DEBUG_TEMPROOT=$(QUICK) PYTHONDONTWRITEBYTECODE= \
		$(PYTHON) -m pytest -q -n 2 -m "not wire"

test: check test-wire test-alone

# Most of these wait for other programs, so there are more of them at once than processors.
test-wire: $(STAMP)
	PYTHONDONTWRITEBYTECODE= \
		$(PYTHON) -m pytest -q -n 3 --dist worksteal -m "wire and not alone and not siege"

test-alone: $(STAMP)
	PYTHONDONTWRITEBYTECODE= $(PYTHON) -m pytest -q -m "alone and not siege"

siege: $(STAMP)
	$(PYTHON) -m pytest -s -m siege
	$(MAKE) test-compiled

bench: $(STAMP)
	$(PYTHON) bench/compare.py

bench-quick: $(STAMP)
	$(PYTHON) bench/quick.py

compiled: $(STAMP)
	$(PYTHON) tools/build_compiled.py

test-compiled: compiled
	cd build/compiled && timeout 600 $(abspath $(PYTHON)) -m pytest -q -n 2 -p no:cacheprovider -m "not wire"

$(STAMP): requirements-dev.txt
	test -x $(PYTHON) || \
		if $(DEBIANS) -c 'import ensurepip' 2>/dev/null; then $(DEBIANS) -m venv $(VENV); \
		else python3 -m venv $(VENV); fi
	$(VENV)/bin/pip install --quiet --require-hashes -r requirements-dev.txt
	touch $(STAMP)

messages: $(STAMP)
	$(PYTHON) tools/messages.py

requirements: $(STAMP)
	for name in requirements requirements-build requirements-dev; do \
		$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-annotate --no-header $$name.in -o $$name.txt; \
	done

clean:
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis
