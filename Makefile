# Sherd: everything a developer runs. `make help` lists it.
#
# `make run` on a fresh machine does the whole set-up: a virtual environment in .venv, the native data plane built into
# it, then a server on 127.0.0.1:6379. Steps leave stamp files in .venv/.stamps, so doing them again costs nothing.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps

# The first interpreter that is new enough; PYTHON=... overrides it.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$python"; break; }; \
	done)

PORT ?= 6379
METRICS_PORT ?= 9121
RUN_ARGS ?=
FUZZ_SECONDS ?= 30
LOOM_MAX_PREEMPTIONS ?= 3
BENCH_ARGS ?=
# Tests wait more than they compute, so one more than there are cores.
TEST_PROCESSES ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 1) + 1)))

RUST_CRATES := $(wildcard metrics shards scripts ioth native)
RUST_SOURCES := $(shell find $(RUST_CRATES) -name target -prune -o \( -name '*.rs' -o -name '*.toml' -o -name '*.lua' \) -print 2>/dev/null) \
	Cargo.toml $(wildcard Cargo.lock)

# The oldest that the crates are built with.
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.PHONY: help run build build-all build-tests test test-rust test-python free-threaded loom lint format bench crash fuzz clean \
	check-tools

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## set up what is missing and serve on 127.0.0.1:6379, metrics on 9121 (RUN_ARGS adds directives)
	exec $(BIN)/sherd serve --bind 127.0.0.1 --port $(PORT) --metrics-port $(METRICS_PORT) $(RUN_ARGS)

build: $(STAMPS)/native ## build the data plane and leave .venv/bin/sherd

# Most of building is one long step on one core; two builds side by side take little longer than one.
build-all: ## build the data plane and the Rust tests, both at once
	$(MAKE) --no-print-directory -j2 build build-tests

build-tests: check-tools
	cargo test --workspace --exclude sherd-native --no-run
	cargo test --manifest-path bench/Cargo.toml --no-run

test: test-rust test-python ## set up what is missing, then test the Rust crates and the Python packages

# The binding crate is left out: an extension module links only inside an interpreter. What runs scripts needs lupa, which comes with
# the build.
test-rust: check-tools $(STAMPS)/native
	cargo test --workspace --exclude sherd-native --no-fail-fast
	cargo test --manifest-path bench/Cargo.toml
	$(MAKE) --no-print-directory loom LOOM_MAX_PREEMPTIONS=2

# A build of its own: loom's atomics work only inside of a model. Optimised just enough, as building takes longer than running.
loom: check-tools ## model-check the hand-off between threads (LOOM_MAX_PREEMPTIONS, default 3, is its depth)
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=8 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=$(LOOM_MAX_PREEMPTIONS) \
	cargo test --package sherd-shards --release --test loom --target-dir target/loom

crash: $(STAMPS)/dev $(STAMPS)/native ## kill a server under load ROUNDS times (default 20), and see that nothing acknowledged is lost
	$(BIN)/python -m tests.durability.crash --rounds $(or $(ROUNDS),20)
	$(BIN)/python -m tests.durability.failover --rounds $(or $(ROUNDS),20)
	$(BIN)/python -m tests.durability.failover --rounds $(or $(ROUNDS),20) --tls
	$(BIN)/python -m tests.durability.mixed --rounds $(or $(ROUNDS),20)

test-python: $(STAMPS)/dev $(STAMPS)/native
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal

# A CPython without the interpreter's lock takes no wheel of the stable ABI, so it has an environment and a build of its own.
FREE_THREADED ?= $(shell for python in python3.14t python3.13t; do command -v "$$python" && break; done)

free-threaded: $(STAMPS)/dev $(STAMPS)/native ## build for a free-threaded CPython (FREE_THREADED=its path) and test commands in Python
	@[ -n "$(FREE_THREADED)" ] || { echo "sherd: no python3.14t or python3.13t here; FREE_THREADED=... names one" >&2; exit 1; }
	"$(FREE_THREADED)" -m venv $(VENV)-free-threaded
	$(VENV)-free-threaded/bin/python -m pip install --quiet --disable-pip-version-check 'maturin>=1.7,<2'
	VIRTUAL_ENV="$(abspath $(VENV)-free-threaded)" PATH="$(abspath $(VENV)-free-threaded/bin):$$PATH" \
		$(VENV)-free-threaded/bin/maturin develop --release --quiet --target-dir target/free-threaded
	$(BIN)/python -m pytest tests/server/test_free_threaded.py
	SHERD_TEST_PYTHON=$(abspath $(VENV)-free-threaded)/bin/python $(BIN)/python -m pytest \
		tests/server/test_python_commands.py tests/server/test_python_command_examples.py tests/server/test_python_command_life.py

lint: $(STAMPS)/dev $(STAMPS)/native ## check formats, lints, types, the native stub and the layers
	cargo fmt --all --check
	cargo fmt --manifest-path bench/Cargo.toml --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --manifest-path bench/Cargo.toml --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd bench && $(abspath $(BIN))/mypy --strict --config-file ../pyproject.toml run.py sherd_bench tests
	$(BIN)/python -m mypy.stubtest sherd._native --mypy-config-file pyproject.toml
	$(BIN)/lint-imports

format: $(STAMPS)/dev ## bring Rust and Python sources into their formats
	cargo fmt --all
	cargo fmt --manifest-path bench/Cargo.toml
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: build ## build the load generator and measure this server (BENCH_ARGS adds options)
	cargo build --release --manifest-path bench/Cargo.toml
	$(BIN)/python bench/run.py $(BENCH_ARGS)

# Entries hold pointers that are not aligned; without the option what they point to counts as leaked. So does what Lua has in blocks of
# its own, where the sanitizer finds no pointers: it was why these targets ended with their seeds.
fuzz: check-tools $(STAMPS)/dev $(STAMPS)/native ## run every fuzz target for FUZZ_SECONDS each (default 30)
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@for target in $$(cd fuzz && ls fuzz_targets | sed -n 's/\.rs$$//p'); do \
		echo "fuzz: $$target for $(FUZZ_SECONDS) s"; \
		mkdir -p "fuzz/corpus/$$target"; \
		case "$$target" in lua_*) leaks=0;; *) leaks=1;; esac; \
		ASAN_OPTIONS=detect_leaks=$$leaks LSAN_OPTIONS=use_unaligned=1 RUSTC_BOOTSTRAP=1 \
			cargo fuzz run "$$target" "fuzz/corpus/$$target" "fuzz/seeds/$$target" -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=800 -rss_limit_mb=3000 -timeout=20; \
	done
	@echo "fuzz: manifest for $(FUZZ_SECONDS) s"
	$(BIN)/python -m tests.durability.fuzz_manifests --seconds $(FUZZ_SECONDS)
	@echo "fuzz: rules for $(FUZZ_SECONDS) s"
	$(BIN)/python -m tests.compat.fuzz_rules --seconds $(FUZZ_SECONDS)

clean: ## remove everything that was built
	rm -rf $(VENV) $(VENV)-free-threaded target bench/target fuzz/target

check-tools:
	@[ -n "$(PYTHON)" ] || { echo "sherd: Python 3.11 or later is needed (Debian, Ubuntu: apt-get install python3 python3-venv)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' >/dev/null 2>&1 || { echo "sherd: $(PYTHON) has no venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "sherd: a C compiler is needed to link (Debian, Ubuntu: apt-get install gcc libc6-dev)" >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "sherd: Rust $(RUST_VERSION) or later is needed: install it with rustup, then open a new shell" >&2; exit 1; }
	@cargo --version 2>/dev/null | awk -v oldest="$(RUST_VERSION)" '$$1 == "cargo" { split($$2, here, "."); split(oldest, wanted, "."); \
		fits = here[1] > wanted[1] || here[1] == wanted[1] && here[2] >= wanted[2] } END { exit !fits }' || \
		{ echo "sherd: Rust $(RUST_VERSION) or later is needed, and here is: $$(cargo --version 2>&1): install it with rustup" >&2; exit 1; }

$(STAMPS)/venv: | check-tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'maturin>=1.7,<2'
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/native: pyproject.toml $(RUST_SOURCES) $(STAMPS)/venv | check-tools
	VIRTUAL_ENV="$(abspath $(VENV))" PATH="$(abspath $(BIN)):$$PATH" $(BIN)/maturin develop --release --quiet
	@touch $@

$(STAMPS)/dev: pyproject.toml $(STAMPS)/venv
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['dev'], sep='\n')" > $(STAMPS)/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(STAMPS)/dev.txt
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['clients'], sep='\n')" > $(STAMPS)/clients.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(STAMPS)/clients.txt || \
		echo "sherd: goes on without clients that are tried; their tests are skipped" >&2
	@touch $@
