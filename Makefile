# `make train` and `make test` do all the set-up there is, in a virtual environment of their own.
#
#   make train ENV=pendulum-p AGENT=ppo-lstm STEPS=150000 ARGS="--seed 1"
#   make test | check | format | test-system | clean
#
# Packages come from the index that pip is configured for. Another one for all of them: INDEX=URL.
# Another one for torch alone: TORCH_INDEX=URL; PyTorch's own CPU index saves gigabytes where the
# default one has CUDA builds.

PYTHON ?= python3
VENV ?= .venv
INDEX ?=
TORCH_INDEX ?= $(INDEX)

ENV ?= HalfCheetah-v4
AGENT ?= ppo-jamba
STEPS ?=
ARGS ?=
WORKERS ?= auto

bin := $(VENV)/bin
ready := $(VENV)/.ready
install := $(bin)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: train test test-system check format clean
.DEFAULT_GOAL := train

train: $(ready)
	$(bin)/jamba-rl train --env $(ENV) --agent $(AGENT) $(if $(STEPS),--steps $(STEPS)) $(ARGS)

test: $(ready)
	$(bin)/python -m pytest -n $(WORKERS) --dist worksteal -m "not system" $(ARGS)
	@echo "not run: the system tests, for which there is make test-system"

# what needs a system's own libraries and programs: OpenGL, a browser (Debian: libegl1, chromium)
test-system: $(ready)
	$(bin)/python -m pytest -m system $(ARGS)

check: $(ready)
	VENV=$(VENV) scripts/check

format: $(ready)
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# torch goes first: whatever asks for it after that finds this build and fetches no larger one.
$(ready): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "jamba-rl needs Python 3.11 or newer, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "setting up $(VENV); this takes a few minutes, once"
	@test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	@$(install) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@$(install) $(if $(INDEX),--index-url $(INDEX)) --editable '.[dev]'
	@touch $@
