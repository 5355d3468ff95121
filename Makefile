# Every way into yoke: `make help` lists them. Meson is the build; a target here checks what the machine has
# (tools/setup), configures once, and calls it. Nothing is built by this file itself.
#
#   BUILD=DIR     build directory (build; asan, tsan, fuzz and bench append -asan, -tsan, -fuzz, -bench)
#   CC=clang      compiler, when the build directory is first made
#   PREFIX=DIR    where `make install` installs (/usr/local); DESTDIR=DIR goes before it
#   DIR=DIR       the folder that `make run` reads (/usr/share/doc)
#   SECONDS=N     how long `make fuzz` runs each fuzzer (20)
#   BENCH_ROUNDS=N how often `make bench` takes a measurement, where a benchmark does not need its own number
#   ARGS="..."    further arguments for `meson test`: a test's name, --verbose, ...
BUILD ?= build
PREFIX ?= /usr/local
DIR ?= /usr/share/doc
export DIR
SECONDS ?= 20
ARGS ?=

.PHONY: all build run test benches bench gpu-test gpu-bench lint asan tsan fuzz install dist help

all: build ## build the library and the command (the default)

build: ## the same
	@tools/setup build
	@tools/configure $(BUILD)
	@ninja -C $(BUILD) product

run: ## size, lines, words and SHA-256 of every file under DIR, on three executors
	@tools/setup run
	@tools/configure $(BUILD)
	@ninja -C $(BUILD) product
	@examples/manifest/run.sh "$$DIR" $(BUILD)

test: ## build and run every test
	@tools/setup test
	@tools/configure $(BUILD)
	@ninja -C $(BUILD) all meson-test-prereq
	@tests/run $(BUILD) $(ARGS)

benches: ## build the benchmarks
	@tools/setup bench
	@tools/configure $(BUILD)-bench -Dbench=true
	@ninja -C $(BUILD)-bench product all

bench: benches ## run the benchmarks beside their peers and print the ratios
	@meson test -C $(BUILD)-bench --no-rebuild --benchmark --num-processes 1 --verbose $(ARGS)

gpu-test: ## the tests of devices and kernels alone, on every device of this machine
	@tools/setup build
	@tools/configure $(BUILD)
	@ninja -C $(BUILD) product gpu-tests
	@tests/run $(BUILD) --no-rebuild --suite gpu $(ARGS)

gpu-bench: ## kernels and primitives on every device beside their peers (YOKE_DEVICE=cuda: on that one)
	@tools/setup build
	@tools/configure $(BUILD)-gpu
	@ninja -C $(BUILD)-gpu product gpu-benches
	@bench/gpu/gpu.py $(BUILD)-gpu

lint: ## style, floors, sizes, exports, clang-tidy, cppcheck (FULL=1: gcc -fanalyzer too)
	@tools/setup lint
	@tools/configure $(BUILD)
	@FULL=$(FULL) tests/lint/run $(BUILD)

asan: ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer
	@tools/setup test
	@tools/configure $(BUILD)-asan -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(BUILD)-asan all meson-test-prereq
	@TEST_TIME_SCALE=$${TEST_TIME_SCALE:-5} tests/run $(BUILD)-asan --timeout-multiplier 5 $(ARGS)

tsan: ## the tests of what runs in threads under ThreadSanitizer
	@tools/setup test
	@tools/configure $(BUILD)-tsan -Db_sanitize=thread -Db_lundef=false
	@ninja -C $(BUILD)-tsan all meson-test-prereq
	@TSAN_OPTIONS=die_after_fork=0:$$TSAN_OPTIONS TEST_TIME_SCALE=$${TEST_TIME_SCALE:-10} \
		tests/run $(BUILD)-tsan --timeout-multiplier 10 --suite tsan $(ARGS)

fuzz: ## run every fuzzer for SECONDS on top of its corpus
	@tools/setup fuzz
	@CC=clang tools/configure $(BUILD)-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(BUILD)-fuzz fuzzers
	@tests/fuzz/run $(BUILD)-fuzz $(SECONDS)

install: build ## install under PREFIX
	@meson configure $(BUILD) --prefix "$(PREFIX)"
	@ninja -C $(BUILD) product
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir "$(DESTDIR)")

dist: ## write build/meson-dist/yoke-VERSION.tar.xz from the last commit, and build from it
	@tools/setup test
	@tools/configure $(BUILD)
	@meson dist -C $(BUILD) --no-tests --allow-dirty
	@tools/try-dist $(BUILD)

help: ## this list
	@echo 'yoke: write a C function once, run it on every kind of parallel hardware.'
	@echo
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 20
	@echo
	@sed -n 's/^#   \([A-Z]*=.*\)/  \1/p' Makefile
