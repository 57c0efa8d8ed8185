# SPDX-License-Identifier: MIT
# Front end of the build: each target installs what it needs, then works. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: run test test-host test-guest bench bench-quick bench-compare profile \
	build format check clean help

run: ## boots the system in QEMU, serial console on the terminal (CPUS=2 MEMORY=256 HTTP_PORT=8080)
	@tools/setup build run
	@tools/build run
	@exec tools/run

test: ## every check and test; writes build/test/report.json
	@tools/setup
	@tools/test/run all

test-host: ## unit, property, sanitizer and fuzz tests on Linux
	@tools/setup build test
	@tools/test/run host

test-guest: ## tests inside the booted system, in QEMU
	@tools/setup
	@tools/test/run guest

check: ## format, lint, layering, style
	@tools/setup build test
	@tools/test/run check

bench: ## the fast paths against Linux in the same virtual machine; build/bench/report.md
	@tools/setup build run test bench
	@tools/bench/run

bench-quick: ## rows and some of HTTP, without times and curves; build/bench/quick.md
	@tools/setup build run test bench
	@tools/bench/run --quick

bench-compare: ## rows of Annulus against bench/baseline.json; fails if one got worse
	@tools/setup build run test
	@tools/bench/compare

profile: ## flame graphs of a guest that serves files; build/bench/profile/
	@tools/setup build run test bench
	@tools/bench/profile

build: ## kernel (three variants), programs, images
	@tools/setup build
	@tools/build target

format: ## rewrites the C++ sources in the project's format
	@tools/setup build test
	@tools/format

clean: ## removes what was built (downloaded headers stay in build/toolchain)
	@rm -rf build/target build/host build/test compile_commands.json

help: ## this list
	@sed -n 's/^\([a-z-]*\): ## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 20
