# make example   install into .venv and run the main job on the data in examples/data
# make examples  the paper's experiments, small, on the same data
# make test      lint, types, layer contract and tests
# make test-all  the same with the slow tests, the fuzzer among them, and those on the real data
#                beside the project
# make test-oldest  the tests with the oldest versions that pyproject.toml allows; by uv
# make format    mend what ruff can mend, and format
# make docs      man pages, completions and the generated parts of docs/

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# a process for each core, whole files to each; small networks are no faster on several threads
PARALLEL := --numprocesses auto --dist loadfile
# a test that never ends says where it is, and ends the run
WATCHED := -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true --max-worker-restart 0

.PHONY: example examples test test-all test-oldest lint format docs clean

example: $(VENV)/.installed
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/main_job.sh

examples: $(VENV)/.installed
	for experiment in sensor_comparison stability fusion oso entries; do \
		PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/$$experiment.sh || exit; \
	done

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest $(PARALLEL) $(WATCHED)

# the last run imitates a processor with AVX2 alone
test-all: lint
	$(BIN)/pytest -m "slow or data or not slow"
	ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2 \
		$(BIN)/pytest tests/training tests/network tests/engines tests/graph

# warnings are no errors there: what old packages need in turn is new, and deprecates what they do
test-oldest:
	uv venv --clear --python 3.11 .venv-oldest
	uv pip install --python .venv-oldest --resolution lowest-direct --torch-backend cpu \
		--editable ".[dev]"
	OMP_NUM_THREADS=1 .venv-oldest/bin/pytest $(PARALLEL) -W default

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python -m lcmap.cli.documentation .
	$(BIN)/python docs/figures/tiling.py

clean:
	rm -rf $(VENV) .venv-oldest examples/output .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $(VENV)/.installed $@
