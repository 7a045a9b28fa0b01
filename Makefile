# `make` prints this list. Without make (Windows): see "Without make" in README.md.
PYTHON ?= python3
PY := .venv/bin/python
READY := .venv/.ready
.DEFAULT_GOAL := help

.PHONY: help
help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | expand -t 12

# uv installs more than three times as fast as pip, but ignores pip's settings: use pip if uv fails.
install = .venv/bin/uv pip install --python $(PY) --compile-bytecode $(1) || \
  $(PYTHON) -m pip --python $(PY) install $(1)

.PHONY: setup
setup: $(READY)  ## create .venv with pinned versions of everything (5.7 GB on Linux)

# --without-pip: Debian's python3 has no ensurepip; the system's pip installs into .venv from outside.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"bookcls needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]}. Try: make setup PYTHON=python3.12")'
	rm -f $@
	test -x $(PY) || $(PYTHON) -m venv --without-pip .venv
	@$(PYTHON) -m pip --python $(PY) install --quiet uv || echo "without uv: pip takes longer"
	$(call install,--require-hashes -r requirements.txt)
	$(call install,--no-deps --editable .)
	@touch $@

.PHONY: train
train: $(READY)  ## train on the sample in a few minutes
	$(PY) -m bookcls.train experiment=sample $(ARGS)

# On two cores, two processes with one thread each are faster than one with two threads.
TWO := OMP_NUM_THREADS=1
SPREAD := --numprocesses=2 --dist=loadfile

.PHONY: test
test: $(READY)  ## run the tests: CPU only, no network, a few minutes
	$(TWO) $(PY) -m pytest $(SPREAD) $(ARGS)

.PHONY: test-all
test-all: $(READY)  ## run all tests, including the slow ones and, if there is a GPU, those for it
	$(TWO) $(PY) -m pytest $(SPREAD) -m "not network and not faults" $(ARGS)

# $(1): lowest or newest, $(2): uv's name for it. Resolved again each time, for all extras.
define test_with
	test -x .venv-$(1)/bin/python || $(PYTHON) -m venv --without-pip .venv-$(1)
	.venv/bin/uv pip compile --python .venv-$(1)/bin/python --resolution $(2) --upgrade --quiet \
	  --no-header --all-extras --group dev --output-file .venv-$(1)/pins.txt pyproject.toml
	.venv/bin/uv pip sync --python .venv-$(1)/bin/python .venv-$(1)/pins.txt
	.venv/bin/uv pip install --python .venv-$(1)/bin/python --no-deps --editable .
	$(TWO) .venv-$(1)/bin/python -m pytest $(SPREAD) $(ARGS)
endef

.PHONY: test-lowest
test-lowest: $(READY)  ## run the tests with the lowest versions that pyproject.toml allows (6 GB more)
	$(call test_with,lowest,lowest-direct)

.PHONY: test-newest
test-newest: $(READY)  ## run the tests with the newest versions that pyproject.toml allows (6 GB more)
	$(call test_with,newest,highest)

# --strict: if the vulnerability database cannot be reached, fail instead of reporting no problems.
.PHONY: audit
audit: $(READY)  ## check requirements.txt for known vulnerabilities (needs the network)
	.venv/bin/uv tool run 'pip-audit>=2.10,<3' --strict --no-deps --disable-pip -r requirements.txt

.PHONY: faults
faults: $(READY)  ## attack the promises of docs/reliability.md, at full size: about ten minutes
	$(TWO) $(PY) -m pytest $(SPREAD) tests/faults -m "not network and not gpu" $(ARGS)

.PHONY: faults-part
faults-part: $(READY)  ## run the attacks that do not depend on timing, at full size: bad input, untrusted files, seeds, names
	$(TWO) $(PY) -m pytest $(SPREAD) tests/faults/test_[4-8]*.py -m "not network and not gpu" $(ARGS)

.PHONY: check
check: $(READY)  ## check format, lint, types and import contracts
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

.PHONY: format
format: $(READY)  ## format and fix with ruff
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

.PHONY: sample
sample: $(READY)  ## render dataset/sample again
	$(PY) -m bookcls.synthetic.sample --output dataset

.PHONY: books
books: $(READY)  ## download the real photos of the 2018 study into dataset/books
	$(PY) -m bookcls.fetch $(ARGS)

.PHONY: pretrain
pretrain: $(READY)  ## pretrain VGG16 on rendered scenes: hours on a CPU
	$(PY) -m bookcls.pretrain $(ARGS)

.PHONY: ablation
ablation: $(READY)  ## run the study's table, 24 runs: about two hours on two cores; resumes after an interruption
	$(PY) -m bookcls.train sweep=ablation experiment=small $(ARGS)

.PHONY: freeze
freeze: $(READY)  ## compare where to freeze, 42 runs: two to three hours on two cores
	$(PY) -m bookcls.train sweep=freeze experiment=small aug=all $(ARGS)

.PHONY: report
report: $(READY)  ## compare runs: tables, plots and one page (ARGS=runs=DIR)
	$(PY) -m bookcls.report $(or $(ARGS),runs=runs)

.PHONY: cam
cam: $(READY)  ## show and measure what the latest run looked at (ARGS=ckpt=RUN)
	$(PY) -m bookcls.cam $(ARGS)

FIGURES := step job growth memory profile_run
.PHONY: bench
bench: $(READY)  ## measure speed: training step, whole jobs, growth, memory; 16 minutes on two cores with bfloat16
	@for figure in $(FIGURES); do $(PY) -m benchmarks.$$figure $(ARGS) || exit 1; done

PEERS := .venv-peers/bin/python
.venv-peers/.ready: $(READY) benchmarks/peers.txt
	rm -f $@
	test -x $(PEERS) || $(PYTHON) -m venv --without-pip .venv-peers
	.venv/bin/uv pip install --python $(PEERS) --compile-bytecode --require-hashes -r requirements.txt
	.venv/bin/uv pip install --python $(PEERS) --compile-bytecode -r benchmarks/peers.txt
	.venv/bin/uv pip install --python $(PEERS) --no-deps --editable .
	@touch $@

.PHONY: bench-peers
bench-peers: .venv-peers/.ready  ## compare with fastai, timm and a plain loop, in a separate environment: 15 minutes
	$(PEERS) -m benchmarks.peers $(ARGS)

.PHONY: bench-quality
bench-quality: .venv-peers/.ready  ## compare accuracy with fastai and a plain loop (ARGS="DIR DIR"): 20 minutes a folder
	$(PEERS) -m benchmarks.quality $(ARGS)

.PHONY: bench-gpu
bench-gpu: $(READY)  ## measure speed on a GPU, in parts of 8.5 minutes: repeat until all are done
	$(PY) -m benchmarks.gpu $(ARGS)

.PHONY: lock
lock: $(READY)  ## pin the newest versions that pyproject.toml allows
	.venv/bin/uv pip compile --universal --upgrade --generate-hashes --no-header --quiet \
	  --group dev --output-file requirements.txt pyproject.toml

.PHONY: clean
clean:  ## remove environments and caches; runs and photos are kept
	rm -rf .venv .venv-lowest .venv-newest .venv-peers .mypy_cache .ruff_cache .pytest_cache build dist
	find . -name __pycache__ -prune -exec rm -rf {} +
