# make demo    figures, an episode, a trained agent and the leaderboard, in out/; sets everything up on the way
# make test    lint, types, and the tests on $(PYTHON) and, where there is one, those not marked `once` on python3.12 with
#              the newest JAX
# make test-slow   what `make test` leaves out since it takes minutes, a test
# make bench   ours and the peers side by side (in a virtual environment of its own)
# make bench-dqn   the same for training a DQN
# make bench-interop   the same for the interfaces of Gymnasium and Stable-Baselines3
# make bench-gradients, bench-identification   noise and cost of gradients; coverage of intervals over 200 data sets
# make bench-sweep   a sweep of 1,024 members beside the bare population
# make bench-gpu   all of it on a GPU, in a virtual environment with CUDA; `python benchmarks/gpu.py --quick` on any machine
# make survival   kill -9 at random moments, resume, compare: runs and sweeps
# make test-clients   the tests that drive other libraries on us, in a virtual environment of their own (part of make
#              test, unless $(PYTHON) is 3.12)
# make lint    ruff and mypy alone
# PYTHON=python3.12 make test takes another interpreter.

PYTHON ?= python3
SELECT ?= not slow
VENV := .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
RUN := $(VENV)/bin/python

# A python3.12 that runs, on the path or as one of pyenv's; empty where there is none.
PYTHON312 := $(shell for python in python3.12 $$HOME/.pyenv/versions/3.12*/bin/python3.12 $${PYENV_ROOT:-/nonexistent}/versions/3.12*/bin/python3.12; do \
	if $$python -c '' 2>/dev/null; then command -v $$python; break; fi; done)

.PHONY: demo test test-one test-slow test-clients lint bench bench-dqn bench-interop bench-sweep bench-gradients bench-identification bench-gpu survival clean

demo: $(VENV)/.installed
	$(RUN) -m heartpole_jax figures --out out/figures
	$(RUN) -m heartpole_jax episode --policy "coffee after waking" --seed 4 --out out/episode.png
	rm -rf out/agent
	$(RUN) -m agents train --out out/agent

test: lint
	$(MAKE) --no-print-directory test-one
ifneq ($(VENV),.venv-3.12)
	$(MAKE) --no-print-directory test-clients
endif
ifneq ($(PYTHON312),)
ifneq ($(VENV),.venv-3.12)
	$(MAKE) --no-print-directory test-one PYTHON=$(PYTHON312) SELECT='not slow and not once'
endif
endif

test-one: $(VENV)/.installed-test
	$(RUN) -m pytest -n 2 --dist loadfile -m '$(SELECT)'

test-slow:
	$(MAKE) --no-print-directory test-one SELECT=slow

test-clients: .venv-clients/.installed
	.venv-clients/bin/python -m pytest -n 2 --dist loadfile tests/clients

lint: $(VENV)/.installed-test
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

bench: .venv-bench/.installed
	.venv-bench/bin/python benchmarks/rollouts.py

bench-dqn: .venv-bench-dqn/.installed
	.venv-bench-dqn/bin/python benchmarks/dqn.py

bench-gpu: .venv-bench-gpu/.installed
	.venv-bench-gpu/bin/python benchmarks/gpu.py

bench-sweep: $(VENV)/.installed
	$(RUN) benchmarks/sweeps.py

bench-gradients: $(VENV)/.installed
	$(RUN) benchmarks/gradients.py

bench-identification: $(VENV)/.installed
	$(RUN) benchmarks/identification.py --datasets 200

survival: $(VENV)/.installed
	$(RUN) benchmarks/survival.py
	$(RUN) benchmarks/survival.py --start "sweep benchmarks/survival_study.toml --checkpoint-every 1 --out {out}" \
		--compare results.csv

bench-interop: .venv-bench-interop/.installed
	.venv-bench-interop/bin/python benchmarks/interop.py

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml
	$(RUN) -m pip install --quiet --editable '.[train]'
	touch $@

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml
	$(RUN) -m pip install --quiet --editable '.[test]'
	$(RUN) -m pip install --quiet --no-deps heartpole==1.2
	touch $@ $(VENV)/.installed

# PyTorch first and alone, lest another package choose a build of several GB for other devices.
.venv-clients/.installed: pyproject.toml tests/clients/requirements.txt
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --upgrade pip
	.venv-clients/bin/python -m pip install --quiet torch==2.13.0
	.venv-clients/bin/python -m pip install --quiet --requirement tests/clients/requirements.txt --editable .
	touch $@

.venv-bench/.installed: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --upgrade pip
	.venv-bench/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt --editable .
	.venv-bench/bin/python -m pip install --quiet --no-deps heartpole==1.2
	touch $@

# PyTorch first and alone, lest another package choose a build of several GB for other devices.
.venv-bench-dqn/.installed: pyproject.toml benchmarks/requirements-dqn.txt
	$(PYTHON) -m venv .venv-bench-dqn
	.venv-bench-dqn/bin/python -m pip install --quiet --upgrade pip
	.venv-bench-dqn/bin/python -m pip install --quiet torch==2.13.0
	.venv-bench-dqn/bin/python -m pip install --quiet --requirement benchmarks/requirements-dqn.txt --editable .
	.venv-bench-dqn/bin/python -m pip install --quiet --no-deps heartpole==1.2
	touch $@

.venv-bench-interop/.installed: pyproject.toml benchmarks/requirements-interop.txt
	$(PYTHON) -m venv .venv-bench-interop
	.venv-bench-interop/bin/python -m pip install --quiet --upgrade pip
	.venv-bench-interop/bin/python -m pip install --quiet torch==2.13.0
	.venv-bench-interop/bin/python -m pip install --quiet --requirement benchmarks/requirements-interop.txt --editable '.[sb3]'
	.venv-bench-interop/bin/python -m pip install --quiet --no-deps heartpole==1.2
	touch $@

.venv-bench-gpu/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench-gpu
	.venv-bench-gpu/bin/python -m pip install --quiet --upgrade pip
	.venv-bench-gpu/bin/python -m pip install --quiet "jax[cuda13]" cupy-cuda13x --editable '.[train,gymnax]'
	touch $@

clean:
	rm -rf .venv-*
