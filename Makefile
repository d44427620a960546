# `make demo` and `make test` require only make and Python 3.10 to 3.13.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo bench docs test test-faults test-browser test-compose check clean

help:
	@echo "make demo    search on handwritten digits, export the best network and use it (under 5 minutes)"
	@echo "make bench   speed of training and of searches as ratios, on a machine at rest (15 minutes on two cores)"
	@echo "make docs    renew the command reference in docs/cli.md"
	@echo "make test    the whole test suite"
	@echo "make test-faults   full disks, workers killed, databases lost, storms of all of them: hours"
	@echo "make test-browser  the dashboard in Chromium, and behind nginx; both must be installed"
	@echo "make test-compose  docker-compose.yml with workers killed, scaled and stopped; needs Docker"
	@echo "make check   ruff, mypy and import-linter"
	@echo "make clean   remove the virtual environment and the caches; studies stay in .nas"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 10) <= sys.version_info < (3, 14) else "nas needs Python 3.10 to 3.13, not " + sys.version.split()[0] + "; choose one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(STAMP)
	PATH="$(CURDIR)/$(RUN):$$PATH" ./demo.sh

bench: $(STAMP)
	$(RUN)/python -W ignore benchmarks/throughput.py --per-family 1 --rounds 1 $(BENCH_DATA)
	$(RUN)/python -W ignore benchmarks/layers.py
	OMP_NUM_THREADS=1 $(RUN)/python -W ignore benchmarks/search_efficiency.py benchmarks/tables/digits.jsonl.xz \
		--methods service --share 0.34 --seeds 10
	OMP_NUM_THREADS=1 $(RUN)/python -W ignore benchmarks/search_efficiency.py benchmarks/tables/emnist.jsonl.xz \
		--methods service --share 0.34 --seeds 10

docs: $(STAMP)
	$(RUN)/python docs/generate_cli.py

# Two processes, each with its own database: most tests spend part of their time waiting for subprocesses.
test: $(STAMP)
	$(RUN)/python -m pytest -n 2 --dist loadscope $(PYTEST_ARGS)

test-faults: $(STAMP)
	$(RUN)/python -m pytest -m "faults or not faults" -s tests/faults $(PYTEST_ARGS)
	$(RUN)/python -m pytest -m faults -s --ignore=tests/faults $(PYTEST_ARGS)

test-browser: $(STAMP)
	@for program in chromium chromedriver nginx; do \
		PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || \
		{ echo "make test-browser needs $$program; on Debian: apt install chromium chromium-driver nginx" >&2; exit 1; }; \
	done
	@$(RUN)/python -c 'import selenium' 2>/dev/null || PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(RUN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,browser]'
	$(RUN)/python -m pytest tests/browser $(PYTEST_ARGS)

test-compose: $(STAMP)
	$(RUN)/python -m pytest tests/compose -s $(PYTEST_ARGS)

check: $(STAMP)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
