# Everything happens in .venv, made here from constraints.txt. Needs Python 3.11 or later, GCC or Clang, and make.
#   make build     the venv, the package installed in place, the native core compiled (again, after a C change)
#   make demo      train on a small series, stream it, judge a legacy model; writes demo/report.html, demo/verdict.html
#   make figures   measure what docs/memory.md shows and quotes, and draw its figures
#   make test      all checks and tests
#   make docs      the documentation, as a site in build/docs
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

new_enough := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	if "$$p" -c '$(new_enough)' 2>/dev/null; then echo "$$p"; break; fi; done)
VENV ?= .venv
bin := $(VENV)/bin
ready := $(VENV)/.ready
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Ninja does the incremental work, so these are run each time; a build with nothing to do takes a moment.
cmake := PATH="$(abspath $(bin)):$$PATH" $(bin)/cmake
# Two ninjas in one folder spoil its record of what depends on what, and then all is compiled each time: hence the lock.
ninja = $(if $(shell command -v flock),flock $(1)/.lock) $(bin)/ninja -C $(1) --quiet
WERROR ?= OFF

.PHONY: venv build demo test check native-test native-test-neon native-test-full fuzz fuzz-corpus sanitize survival \
	pytest docs figures bench wheel format clean

venv: $(ready)

$(ready): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(new_enough)'; then \
		echo "gatewise needs Python 3.11 or later, found: $$(python3 --version 2>&1 || true). Set PYTHON=/path/to/python3.11" >&2; exit 1; fi
	test -x $(bin)/python || $(PYTHON) -m venv $(VENV)
	$(bin)/python -m pip install --quiet pip scikit-build-core cmake ninja
	$(bin)/python -m pip install --quiet --no-build-isolation --config-settings=editable.mode=inplace \
		--config-settings=wheel.cmake=false --config-settings=wheel.py-api=py3 --editable '.[all]'
	touch $@

build: $(ready)
	@$(cmake) -S . -B build/dev -G Ninja -DPython_EXECUTABLE=$(abspath $(bin))/python \
		-DGATEWISE_WERROR=$(WERROR) >/dev/null
	@$(call ninja,build/dev)

demo: build
	$(bin)/gatewise demo

test: check native-test native-test-neon pytest

# Two halves at once, each on one thread of its own; what the second says comes after the first has ended. A test that
# is in neither list would be missed, so the second half is all that is not in the first.
first_half := tests/cli tests/tasks tests/demo tests/docs tests/benchmarks tests/report tests/figures
pytest: build
	@mkdir -p build
	@export OMP_NUM_THREADS=1; \
	$(bin)/python -m pytest $(patsubst %,--ignore=%,$(first_half)) >build/pytest-rest.txt 2>&1 & rest=$$!; \
	trap 'kill $$rest 2>/dev/null || true' INT TERM; \
	status=0; $(bin)/python -m pytest -o cache_dir=.pytest_cache/first $(first_half) || status=$$?; \
	wait $$rest || status=$$?; cat build/pytest-rest.txt; exit $$status

check: build
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/python -m mypy.stubtest gatewise._core --mypy-config-file pyproject.toml
	$(bin)/lint-imports
	$(c_files) | xargs -0 $(bin)/clang-format --dry-run -Werror

format: $(ready)
	$(bin)/ruff check --fix
	$(bin)/ruff format
	$(c_files) | xargs -0 $(bin)/clang-format -i

c_files = find src $(wildcard examples) \( -name '*.c' -o -name '*.h' \) -print0

native-test: $(ready)
	@$(cmake) -S . -B build/native-test -G Ninja -DCMAKE_BUILD_TYPE=Debug \
		-DGATEWISE_MODULE=OFF -DGATEWISE_TESTS=ON -DGATEWISE_SANITIZE=ON -DGATEWISE_WERROR=$(WERROR) >/dev/null
	@$(call ninja,build/native-test)
	$(bin)/ctest --test-dir build/native-test --output-on-failure --no-tests=error

# The same tests as programs for 64-bit Arm, in qemu's user mode. Without the tools it says so and passes.
neon_tools := aarch64-linux-gnu-gcc qemu-aarch64
native-test-neon: $(ready)
	@for tool in $(neon_tools); do if ! command -v $$tool >/dev/null; then \
		echo "native-test-neon skipped: no $$tool (Debian: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)"; \
		exit 0; fi; done; \
	$(cmake) -S . -B build/native-test-neon -G Ninja --toolchain cmake/aarch64-linux-gnu.cmake -DCMAKE_BUILD_TYPE=Release \
		-DGATEWISE_MODULE=OFF -DGATEWISE_TESTS=ON -DGATEWISE_WERROR=$(WERROR) >/dev/null; \
	$(call ninja,build/native-test-neon); \
	$(bin)/ctest --test-dir build/native-test-neon --parallel 2 --output-on-failure --no-tests=error

# Sweeps over every float: minutes, so without sanitizers.
native-test-full: $(ready)
	@$(cmake) -S . -B build/native-test-full -G Ninja -DCMAKE_BUILD_TYPE=Release \
		-DGATEWISE_MODULE=OFF -DGATEWISE_TESTS=ON -DGATEWISE_FULL=ON -DGATEWISE_WERROR=$(WERROR) >/dev/null
	@$(call ninja,build/native-test-full)
	$(bin)/ctest --test-dir build/native-test-full --verbose --no-tests=error

# libFuzzer on each target, FUZZ_SECONDS long, from the corpus that native-test replays; what it finds stays in build/fuzz.
FUZZ_SECONDS ?= 60
CLANG ?= clang
fuzz_targets := fuzz_graph fuzz_state
corpus := src/gatewise/native/fuzz/corpus

build/fuzz/.configured: $(ready)
	@command -v $(CLANG) >/dev/null || { echo "fuzzing needs Clang with libFuzzer (Debian: apt install clang)" >&2; exit 1; }
	@CC=$(CLANG) $(cmake) -S . -B build/fuzz -G Ninja -DGATEWISE_MODULE=OFF -DGATEWISE_FUZZ=ON \
		-DGATEWISE_WERROR=$(WERROR) >/dev/null
	@touch $@

fuzz: build/fuzz/.configured
	@$(call ninja,build/fuzz)
	@for target in $(fuzz_targets); do mkdir -p build/fuzz/found/$$target $(corpus)/$$target; \
		build/fuzz/$$target -max_total_time=$(FUZZ_SECONDS) -max_len=512 -verbosity=0 -print_final_stats=1 \
			-artifact_prefix=build/fuzz/$$target- build/fuzz/found/$$target $(corpus)/$$target; done

# A new corpus from the old one and what was found: the fewest inputs that reach all that these reach.
fuzz-corpus: build/fuzz/.configured
	@$(call ninja,build/fuzz)
	@for target in $(fuzz_targets); do mv $(corpus)/$$target build/fuzz/old-$$target; mkdir $(corpus)/$$target; \
		build/fuzz/$$target -set_cover_merge=1 -use_counters=0 -verbosity=0 $(corpus)/$$target \
			build/fuzz/old-$$target build/fuzz/found/$$target; \
		rm -r build/fuzz/old-$$target; ls $(corpus)/$$target | wc -l; done

# The module with AddressSanitizer and UndefinedBehaviorSanitizer, in a copy of the package, under the conformance suite.
SANITIZED := tests/conformance tests/test_core.py tests/test_threads.py tests/train/test_recurrence.py tests/train/test_scan.py
sanitize: build
	@$(cmake) -S . -B build/sanitize -G Ninja -DCMAKE_BUILD_TYPE=Debug -DPython_EXECUTABLE=$(abspath $(bin))/python \
		-DGATEWISE_SANITIZE=ON -DGATEWISE_WERROR=$(WERROR) -DGATEWISE_MODULE_FOLDER=$(CURDIR)/build/sanitize/package/gatewise >/dev/null
	@mkdir -p build/sanitize/package/gatewise
	@find src/gatewise -mindepth 1 -maxdepth 1 ! -name '_core*.so' ! -name __pycache__ \
		-exec ln -sfn $(CURDIR)/{} build/sanitize/package/gatewise/ \;
	@$(call ninja,build/sanitize)
	$(bin)/python benchmarks/survival_sanitizer.py $(SANITIZED)

# All of docs/survival.md anew, more than an hour on two cores.
survival: build
	$(bin)/python benchmarks/survival_kills.py
	$(bin)/python benchmarks/survival_drift.py
	$(bin)/python benchmarks/survival_sessions.py
	$(MAKE) sanitize
	$(bin)/python benchmarks/survival_fuzz.py
	$(bin)/python benchmarks/survival_table.py

# Strict: a page, a link or a docstring that Sphinx does not understand is an error.
docs: build
	$(bin)/sphinx-build --fresh-env --nitpicky --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

# Some minutes on one core: what docs/memory.md quotes, docs/memory.json, is measured anew.
figures: build
	$(bin)/python docs/figures.py

bench: build
	$(bin)/python benchmarks/step.py

wheel: $(ready)
	rm -rf dist
	$(bin)/python -m pip wheel --quiet --no-deps --build-constraint constraints.txt --wheel-dir dist .
	@ls -l dist

clean:
	rm -rf build dist demo src/gatewise/_core*.so .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
