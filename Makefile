# SPDX-License-Identifier: Apache-2.0
# The front door. Everything real is in meson.build, tools/, tests/ and bench/.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=

# The programs and their pages; what tests need, they build.
PROGRAMS := volt volt-vmm volt-jailer volt-pager volt-pool volt.spdx.json src/docgen/volt.1 src/docgen/volt.fish

# The programs, release build.
all: programs
	@echo
	@echo 'Built: $(BUILD)/volt and $(BUILD)/volt-vmm.'
	@echo 'Next:  $(BUILD)/volt doctor    what this machine can run'
	@echo '       make demo               Linux in a microVM'

programs: $(BUILD)/build.ninja
	@ninja -C $(BUILD) $(PROGRAMS)

# docs/cli.md, from the tables that the programs parse by, and
# docs/system-calls.md, from that of the seccomp filters.
docs: programs
	@$(BUILD)/src/docgen/docgen markdown >docs/cli.md
	@$(BUILD)/src/docgen/docgen calls >docs/system-calls.md

$(BUILD)/build.ninja:
	@tools/deps build demo
	@meson setup $(BUILD) --prefix=$(PREFIX)

# A microVM boots Debian's kernel: here, or in the lab.
demo: programs
	@ninja -C $(BUILD) tests/guest/hello.elf
	@tools/deps build demo
	@VOLT_BUILD=$(BUILD) tools/demo

# An interactive shell in such a guest.
shell: programs
	@tools/deps build demo
	@VOLT_BUILD=$(BUILD) tools/shell

# All tests, or the LANES that are named; the last line counts them.
check:
	@tools/deps build demo test
	@tools/ci/check $(LANES)

# The tests that take long, an hour and more: whole Debians, load, soak.
check-long:
	@tools/deps build demo test
	@tools/ci/check build long user-all schedules tidy-deep

# Formatting, static analysis and the rules of the tree only.
lint:
	@tools/deps build demo test
	@tools/ci/check format tidy cppcheck layers style

# Fuzz targets, each for FUZZ_SECONDS (default 20).
fuzz:
	@tools/deps build demo test
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-20} tools/ci/check fuzz

# A build for gdb, in build/debug: HACKING.md.
debug:
	@tools/deps build demo
	@[ -f build/debug/build.ninja ] || meson setup build/debug \
		-Dbuildtype=debug -Doptimization=g -Dstatic_programs=false
	@ninja -C build/debug $(PROGRAMS)
	@echo 'Next:  gdb build/debug/volt-vmm    (HACKING.md)'

# The unit tests whose names begin so: make test T=blk
test: $(BUILD)/build.ninja
	@tools/deps build demo test
	@VOLT_BUILD=$(BUILD) tools/run-tests '$(T)'

# One input of a fuzz target: make fuzz-repro F=tests/fuzz/corpus/elf/seeds/NAME
fuzz-repro:
	@tools/deps build demo test
	@tools/fuzz-repro '$(F)' $(TARGET)

# Figures, against QEMU and a bare KVM probe in the same run.
bench: programs
	@ninja -C $(BUILD)
	@tools/deps build demo test
	@VOLT_BUILD=$(BUILD) bench/run

install: programs
	@meson configure $(BUILD) --prefix=$(PREFIX)
	@ninja -C $(BUILD) build.ninja >/dev/null
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

# The Debian package of the tree, in build/deb.
deb:
	@tools/deps build deb
	@tools/deb

clean:
	rm -rf $(BUILD)

help:
	@echo 'New here? `make demo`, then README.md and docs/design.md.'
	@echo
	@echo 'make           build volt-vmm and volt into $(BUILD)/'
	@echo 'make demo      boot Linux in a microVM and see what happens'
	@echo 'make shell     a shell in such a guest (Ctrl-A x ends it)'
	@echo '               both: VOLT_CPUS=2 VOLT_MEMORY=512 (MiB)'
	@echo 'make check     all tests; ends with "N passed, N failed, N skipped"'
	@echo '               LANES="unit asan": only these (see CONTRIBUTING.md)'
	@echo 'make check-long what takes an hour and more: whole Debians, load'
	@echo 'make lint      formatting and static analysis only'
	@echo 'make fuzz      the fuzz targets only'
	@echo 'make test T=blk             unit tests by the start of their names'
	@echo 'make fuzz-repro F=FILE      one input again (TARGET=elf)'
	@echo 'make debug     a build for gdb: see HACKING.md'
	@echo 'make docs      docs/cli.md anew, after a change of an option'
	@echo 'make bench     figures against QEMU and a bare probe'
	@echo 'make install   to PREFIX=$(PREFIX) under DESTDIR'
	@echo 'make deb       the Debian package, into build/deb/'
	@echo 'make clean     remove $(BUILD)/'
	@echo
	@echo 'Where this host cannot run Linux guests, a software-emulated one does:'
	@echo 'tests/lab/run COMMAND. What it can run: $(BUILD)/volt doctor.'

.PHONY: all programs docs demo shell check check-long lint fuzz debug test fuzz-repro bench install deb clean help
