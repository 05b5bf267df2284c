# Everything runs in .venv, which is made once: a second call sets nothing up until pyproject.toml or constraints.txt changes.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo papers figures test packages clusters lint bench scores constraints

help:
	@echo "make demo   train and draw the first figure (minutes on 2 CPU cores)"
	@echo "make papers regenerate the published figures of papers and say which claims hold: about 70 minutes on 2 CPU cores, resumed"
	@echo "make figures redraw the published figures and their gallery from the kept tables: a minute"
	@echo "make test   ruff and pytest, as CI does; the dashboard's tests need Chromium: make packages"
	@echo "make clusters sweeps on a SLURM and a Ray of this machine: 2 minutes, as root on Debian for SLURM"
	@echo "make lint   ruff alone"
	@echo "make bench  speed and memory: 20 minutes"
	@echo "make scores what trained networks score on the real data, against bars: 10 minutes"

.venv/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("rnnlab needs python 3.11 or newer, got %d.%d: name another with make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

demo: .venv/.done
	$(BIN)/python -m experiments.train -m experiment=horizon scale=laptop
	$(BIN)/python -m analysis.horizon
	$(BIN)/python -m analysis.dashboard horizon
	@echo
	@echo "figures and table:"; ls -1 figures/horizon*
	@echo "records: outputs/horizon/*/"
	@echo "W&B offline runs: outputs/horizon/*/wandb/offline-run-*, $$(ls -d outputs/horizon/*/wandb/offline-run-* 2>/dev/null | wc -l) of them;"
	@echo "  look with $(BIN)/wandb leet PATH, send with $(BIN)/wandb sync PATH"

# Started again it goes on where it was. What is drawn lies in figures/; the kept tables stay as they are.
papers: .venv/.done
	@set -e; for name in $$($(BIN)/python -m analysis.shelf --list); do \
		$(BIN)/python -m experiments.train -m experiment=$$name scale=laptop tracker=none; \
		$(BIN)/python -m analysis.$$name --scale laptop; \
	done
	$(BIN)/python -m analysis.shelf --scale laptop --out figures/shelf.md

figures: .venv/.done
	$(BIN)/python -m analysis.figures
	$(BIN)/python -m analysis.gallery
	$(BIN)/python -m analysis.shelf --kept

# Three processes on two cores, too: many tests wait for what they have started.
test: lint
	$(BIN)/python -m pytest -n 3

# Debian's packages that some tests need: a browser, and SLURM. What cannot be installed is not tested, and pytest says so.
packages:
	-@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! { command -v chromium && command -v slurmctld; } >/dev/null; then \
		export DEBIAN_FRONTEND=noninteractive; timeout 60 apt-get update -qq; \
		timeout 240 apt-get install -y -qq --no-install-recommends chromium; \
		timeout 240 apt-get install -y -qq slurmctld slurmd slurm-client munge; \
	fi >/dev/null

clusters: .venv/.done packages
	-@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[slurm,ray,optuna]'
	$(BIN)/python -m pytest -m "slurm or ray or optuna" tests/clusters tests/experiments/test_search.py

lint: .venv/.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: .venv/.done
	$(BIN)/python -m tests.benchmarks.engine
	$(BIN)/python -m tests.benchmarks.probing
	$(BIN)/python -m tests.benchmarks.length
	$(BIN)/python -m tests.benchmarks.tables
	$(BIN)/python -m tests.benchmarks.figures
	$(BIN)/python -m tests.benchmarks.dashboard
	$(BIN)/python -m tests.benchmarks.sweeping

scores: .venv/.done
	$(BIN)/python -m tests.benchmarks.scores

# Needs uv. What torch itself pins to one exact version (CUDA, triton) is left out: it says nothing more and differs by build.
constraints:
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-annotate --no-header --upgrade pyproject.toml \
		| grep -Ev '^(nvidia-|cuda-|triton)' > constraints.txt
