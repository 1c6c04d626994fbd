# SPDX-License-Identifier: GPL-2.0-only
#
# How dm-vci is built, tested and installed.  "make help" lists the targets.
# Everything that is built goes below build/; the sources stay clean.
# What goes into the module is Kbuild's business.

BUILD := build
KVER ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KVER)/build

CC ?= gcc
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
PKG_CONFIG ?= pkg-config

# WERROR=0 lets an unknown compiler warn without failing.
WERROR ?= 1
CFLAGS ?= -O2 -g

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all modules modules-check tools tests-build vm-tools check check-vm check-power \
	mutants demo bench bench-core bench-policy lint install install-tools install-modules uninstall \
	clean help FORCE

all: tools
	@if [ -e "$(KDIR)/Makefile" ]; then \
		$(MAKE) modules; \
	else \
		echo "The module was not built: no headers of kernel $(KVER) in $(KDIR)."; \
		echo "Install linux-headers-$(KVER), or give KVER= or KDIR=;"; \
		echo "scripts/fetch-kernel 6.1 prints a KDIR for tests in a VM."; \
	fi

## Userspace: the core, what surrounds it, and the tools ----------------------

TOOL_NAMES := vci-format vci-check vci-dump vci-repair vci-writeback
TOOLS := $(filter $(TOOL_NAMES),$(patsubst userspace/%.c,%,$(wildcard userspace/*.c)))
TOOL_BINS := $(addprefix $(BUILD)/bin/,$(TOOLS))
SAN_TOOL_BINS := $(addprefix $(BUILD)/san/bin/,$(TOOLS))

CORE := $(wildcard kernel/core/*.c)
HELPERS := $(filter-out $(TOOLS:%=userspace/%.c),$(wildcard userspace/*.c))

TOOL_LIBS := uuid blkid json-c libisal
TOOL_LDLIBS = $(shell $(PKG_CONFIG) --libs $(TOOL_LIBS) 2>/dev/null || \
	echo -luuid -lblkid -ljson-c -lisal)
TOOL_INCLUDES = $(shell $(PKG_CONFIG) --cflags $(TOOL_LIBS) 2>/dev/null)

UCFLAGS = -std=gnu11 -Wall -Wextra $(if $(filter 0,$(WERROR)),,-Werror) \
	-Wframe-larger-than=$(FRAME_BYTES) -MMD -MP -DVCI_USERSPACE -D_GNU_SOURCE \
	-D_FILE_OFFSET_BITS=64 -Iuserspace -Ikernel/core $(CFLAGS)

# What a kernel's stack can bear.  Tests never run there, and a sanitizer's red
# zones make frames larger.
FRAME_BYTES := 1024
$(BUILD)/obj/tests/%.o $(BUILD)/san/%.o: FRAME_BYTES := 65536

SAN := -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer -O1 -g

objects = $(patsubst %.c,$(BUILD)/$(1)/%.o,$(2))

LIB := $(BUILD)/libvci.a
HELPER_LIB := $(BUILD)/libvci-user.a
SAN_LIB := $(BUILD)/san/libvci.a
SAN_HELPER_LIB := $(BUILD)/san/libvci-user.a

# Core and helpers call each other (the platform is below the core).
LINK_LIBS = -Wl,--start-group $(LIB) $(HELPER_LIB) -Wl,--end-group
SAN_LINK_LIBS = -Wl,--start-group $(SAN_LIB) $(SAN_HELPER_LIB) -Wl,--end-group

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(UCFLAGS) $(EXTRA_INCLUDES) -c -o $@ $<

$(BUILD)/san/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(UCFLAGS) $(SAN) $(EXTRA_INCLUDES) -c -o $@ $<

$(BUILD)/obj/userspace/%.o $(BUILD)/san/obj/userspace/%.o: \
	EXTRA_INCLUDES = $(TOOL_INCLUDES)
$(BUILD)/obj/tests/%.o $(BUILD)/san/obj/tests/%.o: \
	EXTRA_INCLUDES = -I$(<D) -Itests/unit

# An archive is made anew: a source that was removed leaves no object behind.
define make-archive
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $(filter %.o,$^)
endef

$(LIB): $(call objects,obj,$(CORE)) $(BUILD)/sources
	$(make-archive)
$(HELPER_LIB): $(call objects,obj,$(HELPERS)) $(BUILD)/sources
	$(make-archive)
$(SAN_LIB): $(call objects,san/obj,$(CORE)) $(BUILD)/sources
	$(make-archive)
$(SAN_HELPER_LIB): $(call objects,san/obj,$(HELPERS)) $(BUILD)/sources
	$(make-archive)

# The list of sources, touched only when it changes.
$(BUILD)/sources: FORCE
	@mkdir -p $(@D)
	@echo $(sort $(CORE) $(HELPERS)) | cmp -s - $@ || \
		echo $(sort $(CORE) $(HELPERS)) >$@

$(BUILD)/bin/%: $(BUILD)/obj/userspace/%.o $(LIB) $(HELPER_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LINK_LIBS) $(TOOL_LDLIBS)

$(BUILD)/san/bin/%: $(BUILD)/san/obj/userspace/%.o $(SAN_LIB) $(SAN_HELPER_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -o $@ $< $(SAN_LINK_LIBS) $(TOOL_LDLIBS)

tools: $(TOOL_BINS)

## Tests in userspace ---------------------------------------------------------

# Each tests/unit/test-*.c is a program; other sources there are linked to all.
UNIT := $(wildcard tests/unit/test-*.c)
UNIT_COMMON := $(filter-out $(UNIT),$(wildcard tests/unit/*.c))
UNIT_BINS := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT))

# Each tests/sim/*-sim.c is a program; other sources there are linked to all.
SIMS := $(wildcard tests/sim/*-sim.c)
SIM_COMMON := $(filter-out $(SIMS),$(wildcard tests/sim/*.c))
SIM_BINS := $(patsubst tests/sim/%.c,$(BUILD)/tests/%,$(SIMS))
SAN_SIM_BINS := $(patsubst tests/sim/%.c,$(BUILD)/san/tests/%,$(SIMS))

$(BUILD)/tests/unit/%: $(BUILD)/san/obj/tests/unit/%.o \
		$(call objects,san/obj,$(UNIT_COMMON)) $(SAN_LIB) $(SAN_HELPER_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(SAN_LINK_LIBS) $(TOOL_LDLIBS) -lm

$(BUILD)/tests/%-sim: $(BUILD)/obj/tests/sim/%-sim.o \
		$(call objects,obj,$(SIM_COMMON)) $(LIB) $(HELPER_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LINK_LIBS) $(TOOL_LDLIBS) -lm

$(BUILD)/san/tests/%-sim: $(BUILD)/san/obj/tests/sim/%-sim.o \
		$(call objects,san/obj,$(SIM_COMMON)) $(SAN_LIB) $(SAN_HELPER_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -o $@ $(filter %.o,$^) \
		$(SAN_LINK_LIBS) $(TOOL_LDLIBS) -lm

tests-build: $(UNIT_BINS) $(SIM_BINS) $(SAN_SIM_BINS) $(TOOL_BINS) $(SAN_TOOL_BINS)

# What tests in the VM run there.
POWER := $(wildcard tests/vm/power/*.c)

$(BUILD)/bin/power-test: $(call objects,obj,$(POWER))
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lpthread

vm-tools: tools $(BUILD)/bin/power-test

.SECONDARY:

-include $(shell find $(BUILD)/obj $(BUILD)/san/obj -name '*.d' 2>/dev/null)

## Module ---------------------------------------------------------------------

# The module is built in a tree of links to the sources, one tree per kernel.
# scripts/build-module does it; it takes KDIR and, for "modules-check", all
# warnings and sparse, with every finding an error.

modules:
	@scripts/build-module "$(KDIR)"

modules-check:
	@scripts/build-module --check "$(KDIR)"

## Checks, demo, measurements --------------------------------------------------

lint:
	@scripts/install-deps build check
	@tests/lint.sh

check:
	@echo "make check: all tests, under 30 minutes on two cores."
	@echo "Logs: $(BUILD)/log/.  Parts: tests/run --only PATTERN."
	@scripts/install-deps
	@tests/run

mutants:
	@echo "make mutants: breaks the core on purpose; the crash simulator must notice."
	@echo "Up to 200,000 crashes for each.  Output: $(BUILD)/mutants/."
	@tests/sim/mutants

check-vm:
	@echo "make check-vm: the tests in a virtual machine, about 15 minutes;"
	@echo "with DEBUG=1 on a kernel with KASAN and lockdep.  Logs: $(BUILD)/log/."
	@scripts/install-deps
	@tests/run $(if $(DEBUG),--kernel kasan) --only '^vm'

check-power: CUTS ?= 200
check-power:
	@echo "make check-power: power failures in a VM, $(CUTS) in each mode, 1,000 changes of mode"
	@echo "with crashes in between, and targets that forget a flush, which must be noticed."
	@echo "About 45 minutes.  Logs: $(BUILD)/log/."
	@scripts/install-deps
	@tests/vm/power/run --cuts "$(CUTS)"

demo:
	@echo "make demo: builds, boots a VM, shows what the cache gains."
	@echo "About 5 minutes.  Logs: $(BUILD)/log/."
	@scripts/install-deps
	@BACKING="$(BACKING)" CACHE="$(CACHE)" scripts/demo

bench:
	@echo "make bench: dm-vci beside its peers, counted in a VM, and what a full cache writes,"
	@echo "simulated; about 40 minutes, QUICK=1 under five.  Results: $(BUILD)/bench/.  Log: $(BUILD)/log/bench.log."
	@scripts/install-deps build vm bench
	@QUICK="$(QUICK)" tests/bench/run

$(BUILD)/tests/bench-core: $(BUILD)/obj/tests/bench/bench-core.o \
		$(BUILD)/obj/tests/bench/bench-hash.o \
		$(BUILD)/obj/tests/bench/bench-count.o $(LIB) $(HELPER_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LINK_LIBS) $(TOOL_LDLIBS) \
		-lurcu -lurcu-cds

$(BUILD)/tests/full-image: $(BUILD)/obj/tests/bench/full-image.o \
		$(BUILD)/obj/tests/sim/sim-large.o $(LIB) $(HELPER_LIB)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LINK_LIBS) $(TOOL_LDLIBS)

bench-core:
	@scripts/install-deps build bench
	@$(MAKE) -s $(BUILD)/tests/bench-core
	@GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(BUILD)/tests/bench-core $(SIZES)

bench-policy:
	@$(MAKE) -s $(BUILD)/tests/trace-sim
	@tests/bench/bench-policy $(BUILD)/tests/trace-sim $(BUILD)/bench/policy $(TRACES)

## Installation ---------------------------------------------------------------

install: install-tools
	@if [ -e "$(KDIR)/Makefile" ]; then \
		$(MAKE) install-modules; \
	else \
		echo "No headers of kernel $(KVER): only the tools were installed."; \
	fi

install-tools: tools
	install -d "$(DESTDIR)$(SBINDIR)" "$(DESTDIR)$(MANDIR)/man8"
	install -m 755 $(TOOL_BINS) "$(DESTDIR)$(SBINDIR)"
	for page in $(wildcard Documentation/man/*.8); do \
		install -m 644 "$$page" "$(DESTDIR)$(MANDIR)/man8" || exit 1; \
	done

install-modules: modules
	@scripts/build-module --install "$(DESTDIR)" "$(KDIR)"

uninstall:
	rm -f $(TOOL_NAMES:%="$(DESTDIR)$(SBINDIR)/%")
	rm -f $(TOOL_NAMES:%="$(DESTDIR)$(MANDIR)/man8/%.8")
	@scripts/build-module --uninstall "$(DESTDIR)" "$(KVER)"

# Downloaded and debug kernels and the logs stay; "rm -rf build" removes all.
clean:
	rm -rf $(BUILD)/obj $(BUILD)/san $(BUILD)/bin $(BUILD)/tests \
		$(BUILD)/*.a $(BUILD)/sources $(BUILD)/module-* $(BUILD)/vm $(BUILD)/power

help:
	@sed -n '/^# BEGIN HELP/,/^# END HELP/{s/^# \?//;/^\(BEGIN\|END\) HELP/d;p}' Makefile

# BEGIN HELP
# dm-vci: a device-mapper cache target
#
# make                 the tools, and the module if kernel headers are there
# make tools           vci-format, vci-check, vci-dump, vci-writeback in build/bin
# make modules         dm-vci.ko in build/module-<kernel>
#                        KVER=6.1.0-1-amd64  for another installed kernel
#                        KDIR=/path          for a kernel's build directory
# make modules-check   the same with sparse, W=1 and warnings as errors
#
# make demo            the cache at work in a VM; about 5 minutes
#                        BACKING=/dev/... CACHE=/dev/...  on real devices
# make check           every test; under 30 minutes on two cores
# make check-vm        only those in a VM; about 15 minutes
#                        DEBUG=1 on a kernel with KASAN and lockdep
# make check-power     power failures in a VM, CUTS=200 in each mode; 45 minutes
# make bench-policy    the policy beside LRU, S3-FIFO and ARC, on traces; TRACES=...
# make mutants         breaks orderings; the crash simulator must notice each
# make lint            style, layers, static analysis; about a minute
# make bench           dm-vci beside its peers in a VM, and large caches; about 40
#                        minutes, QUICK=1 in under five; TRACE=FILE replays a trace, too
# make bench-core      speed and memory of the tree alone, in userspace; five minutes
#                        SIZES="50000 50000000"  numbers of extents
#
# make install         tools, manual pages, module (DESTDIR=, PREFIX=/usr/local)
# make uninstall       removes what "make install" put there
# make clean           removes what was built, keeps downloaded kernels
#
# Tests and demo install the Debian packages they lack (scripts/install-deps,
# as root or through sudo).  Logs are in build/log.
# END HELP
