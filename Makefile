# make demo    figures, an episode, six agents and the leaderboard, in out/; sets everything up on the way
# make test    lint, types and the tests on $(PYTHON), but for those marked `slow`: before every commit
# make test-all   that, then test-rest: test-clients, test-browser, test-newest, test-jax-0.11.2, test-floors and test-slow
# make test-clients   the tests that drive other libraries on us, in a virtual environment of their own (not on 3.12)
# make test-browser   pages in headless Chromium, in one too; Debian's Chromium is installed where it is missing and we may
# make test-newest, test-jax-0.11.2   tests not marked `slow` or `once` on python3.12 with the newest JAX, with that one
# make test-floors   those and the ones marked `extras` on python3.11 with the oldest versions that pyproject.toml allows
# make test-slow   the tests that take long: the only stage that .ci/run leaves out
# make docs, docs-serve   the docs site in out/site-source/site, notebooks run; and served on 127.0.0.1
# make bench   ours and the peers side by side (in a virtual environment of its own)
# make bench-dqn   the same for training a DQN
# make bench-algorithms   exact regret of our algorithms, rejax's and Stable-Baselines3's: about an hour, and it can be resumed
# make bench-interop   the same for the interfaces of Gymnasium and Stable-Baselines3
# make bench-gradients, bench-identification   noise and cost of gradients; coverage of intervals over 200 data sets
# make bench-sweep   a sweep of 1,024 trials beside the bare population
# make bench-gpu   all of it on a GPU, in a virtual environment with CUDA; `python benchmarks/gpu.py --quick` on any machine
# make survival   kill -9 at random moments, resume, compare: runs and sweeps
# make lint    ruff and mypy alone
# PYTHON=python3.12 make test takes another interpreter.

PYTHON ?= python3
SELECT ?= not slow
WORKERS ?= 2
EXTRAS ?= test
# On Python 3.11 the versions that the tests passed with last; elsewhere the newest that pyproject.toml allows.
CONSTRAINTS ?= $(if $(filter .venv-3.11,$(VENV)),--constraint constraints.txt)
VENV ?= .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
RUN := $(VENV)/bin/python

# A python3.11 or python3.12 that runs, on the path or as one of pyenv's; empty where there is none.
find-python = $(shell for python in python$(1) $$HOME/.pyenv/versions/$(1)*/bin/python$(1) $${PYENV_ROOT:-/nonexistent}/versions/$(1)*/bin/python$(1); do \
	if $$python -c '' 2>/dev/null; then command -v $$python; break; fi; done)
PYTHON311 = $(call find-python,3.11)
PYTHON312 = $(call find-python,3.12)

# Stages come one after the other under `make -j` too: each takes all processors.
.NOTPARALLEL:
.PHONY: demo test test-all test-rest test-one test-clients test-browser test-newest test-jax-0.11.2 test-floors test-slow lint
.PHONY: docs docs-serve bench bench-dqn bench-algorithms bench-interop bench-sweep bench-gradients bench-identification bench-gpu survival constraints clean

demo: $(VENV)/.installed
	$(RUN) -m heartpole_jax figures --out out/figures
	$(RUN) -m heartpole_jax episode --policy "coffee after waking" --seed 4 --out out/episode.png
	rm -rf out/agents
	$(RUN) -m agents sweep --recipe heartpole-v0 --seeds 6 --out out/agents
	$(RUN) -m heartpole_jax episode --policy out/agents/best/seed-0 --seed 4 --steps 200 --out out/agent.png
	$(RUN) -m agents leaderboard out/agents/best/seed-* --episodes 4096

test: lint test-one

test-all: test test-rest

test-rest: test-clients test-browser test-newest test-jax-0.11.2 test-floors test-slow

test-one: $(VENV)/.installed-test
	@$(RUN) -c 'from importlib.metadata import version; import platform; print("--- tests ($(SELECT)): Python", platform.python_version(), "and JAX", version("jax"))'
	$(RUN) -m pytest -n $(WORKERS) --dist worksteal -m '$(SELECT)' $(FLAGS)

test-slow:
	@$(MAKE) --no-print-directory test-one SELECT=slow
	@$(MAKE) --no-print-directory test-clients SELECT=slow

# $(call on,python,its name,arguments of make): the tests on another Python, where there is one.
define on
	@$(if $(1),$(MAKE) --no-print-directory test-one PYTHON=$(1) $(3),echo "--- $@: left out, since there is no $(2) here")
endef

test-newest:
	$(call on,$(PYTHON312),python3.12,VENV=.venv-3.12 SELECT='not slow and not once')

test-jax-0.11.2:
	$(call on,$(PYTHON312),python3.12,VENV=.venv-3.12-jax-0.11.2 WITH=jax==0.11.2 SELECT='not slow and not once')

# Old versions of others warn of one another. PyTorch is named, lest stable-baselines3 choose a build of several GB.
FLOORS = VENV=.venv-floors EXTRAS=test,sb3,stoa,brax WITH='torch==2.13.0 --constraint .floors.txt' \
	SELECT='not slow and (extras or not once)' FLAGS='-W ignore::DeprecationWarning -W ignore::PendingDeprecationWarning'
test-floors: .floors.txt
	$(call on,$(PYTHON311),python3.11,$(FLOORS))

# gymnax holds JAX below 0.12 there.
ifeq ($(VENV),.venv-3.12)
test-clients:
	@echo "--- test-clients: left out on Python 3.12"
else
test-clients: .venv-clients/.installed
	@echo "--- tests of other libraries on us"
	.venv-clients/bin/python -m pytest -n $(WORKERS) --dist worksteal -m '$(SELECT)' tests/clients
endif

test-browser: .venv-browser/.installed
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "--- installing Chromium"; apt-get update -qq && apt-get install -qq --yes chromium fonts-dejavu-core >/dev/null; fi
	@if command -v chromium >/dev/null; then echo "--- tests of pages in Chromium"; \
		.venv-browser/bin/python -m pytest -n $(WORKERS) --dist worksteal -m '$(SELECT)' tests/browser; \
		else echo "--- $@: left out, since there is no chromium here: apt-get install chromium fonts-dejavu-core"; fi

lint: $(VENV)/.installed-test
	@echo "--- lint and types"
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	@# Tests run few of these: that what they import and call is still there.
	$(RUN) -m mypy --ignore-missing-imports --no-warn-unused-ignores $(addprefix --disable-error-code=,\
		arg-type call-overload import-untyped index list-item misc operator union-attr var-annotated) benchmarks examples

docs: .venv-docs/.installed
	.venv-docs/bin/python docs/site/build.py

docs-serve: .venv-docs/.installed
	.venv-docs/bin/python docs/site/build.py --serve

bench: .venv-bench/.installed
	.venv-bench/bin/python benchmarks/rollouts.py

bench-dqn: .venv-bench-dqn/.installed
	.venv-bench-dqn/bin/python benchmarks/dqn.py

bench-algorithms: .venv-bench-dqn/.installed
	.venv-bench-dqn/bin/python benchmarks/algorithms.py
	.venv-bench-dqn/bin/python benchmarks/algorithms.py --report

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
	@echo "--- making a virtual environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --upgrade pip
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "--- installing into $(VENV)"
	$(RUN) -m pip install --quiet --editable '.[train]' $(CONSTRAINTS)
	touch $@

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml constraints.txt
	@echo "--- installing into $(VENV)"
	$(RUN) -m pip install --quiet --editable '.[$(EXTRAS)]' $(WITH) $(CONSTRAINTS)
	$(RUN) -m pip install --quiet --no-deps heartpole==1.2
	touch $@ $(VENV)/.installed

.floors.txt: pyproject.toml tests/floors.py
	$(PYTHON) tests/floors.py > $@

# PyTorch first and alone, lest another package choose a build of several GB for other devices.
.venv-clients/.installed: pyproject.toml tests/clients/requirements.txt
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --upgrade pip
	.venv-clients/bin/python -m pip install --quiet torch==2.13.0
	.venv-clients/bin/python -m pip install --quiet --requirement tests/clients/requirements.txt --editable '.[ray]'
	touch $@

.venv-docs/.installed: pyproject.toml docs/site/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --upgrade pip
	.venv-docs/bin/python -m pip install --quiet --requirement docs/site/requirements.txt --editable '.[train]'
	touch $@

.venv-browser/.installed: pyproject.toml tests/browser/requirements.txt
	$(PYTHON) -m venv .venv-browser
	.venv-browser/bin/python -m pip install --quiet --upgrade pip
	.venv-browser/bin/python -m pip install --quiet --requirement tests/browser/requirements.txt --editable '.[train]' $(CONSTRAINTS)
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
	.venv-bench-dqn/bin/python -m pip install --quiet --requirement benchmarks/requirements-dqn.txt --editable '.[train]'
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

# Run in a fresh clone after `make test`: what is installed there is what the tests passed with.
constraints:
	$(RUN) -m pip freeze --exclude-editable | grep -v '^heartpole==' > constraints.txt

clean:
	rm -rf .venv-* .floors.txt .pytest_cache
