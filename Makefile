# Leat's build. `make run` shows it working, `make test` tests it; both first install the packages that are missing.
#
# Sources are found by their place: lib/*/*.c and cmd/leat/*.c make the program, tests/{unit,integration}/*.c one test program,
# tests/bench/*.c one benchmark program, tests/fuzz/*_fuzz.c a fuzzer each. sql/**/*.sql is embedded. All that is made is in build/.

MAKEFLAGS += --no-builtin-rules $(if $(filter 0,$(MAKELEVEL)),-j$(shell nproc))
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -e -c
.DELETE_ON_ERROR:
.SUFFIXES:
Q := $(if $(V),,@)
# `make B=/elsewhere` builds there.
B := build

CC := gcc
CLANG := clang
WARNINGS := -Wall -Wextra -Wshadow -Wconversion
COMPILE := -std=c11 -D_GNU_SOURCE $(WARNINGS) -Iinclude -pthread
LIBRARIES := libnats libcrypto libpq jansson uuid $(if $(wildcard lib/http/*.c),libcurl)
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

SQL := $(shell find sql -name '*.sql' | LC_ALL=C sort)
LIB := $(wildcard lib/*/*.c) $(B)/gen/sql_files.c
PROGRAM := $(wildcard cmd/leat/*.c)
TESTS := $(wildcard tests/unit/*_test.c tests/integration/*.c)
BENCH := $(wildcard tests/bench/*.c)
FUZZERS := $(wildcard tests/fuzz/*_fuzz.c)
SOURCES := $(LIB) $(PROGRAM) $(TESTS) $(BENCH) $(FUZZERS)
HAND_WRITTEN := $(filter-out $(B)/%,$(SOURCES))

.PHONY: all run test soak bench fuzz lint format clean packages packages-run packages-test packages-lint
all: $(B)/leat

# ---- what people call ----

run: packages-run all
	$(Q)tests/clients/tour.sh

# One more than there are processors: tests wait a good deal.
TESTS_AT_ONCE := $(shell echo $$(($$(nproc) + 1)))

# LEAT_TESTS="--filter 'local/*'" runs some of them. Two of these at once take turns at building, not at testing.
test: packages-test
	$(take_turns) $(B)/asan/tests $(B)/asan/leat $(B)/npm/clients
	$(Q)LEAT_BINARY=$(abspath $(B))/asan/leat $(B)/asan/tests -j$(TESTS_AT_ONCE) $(LEAT_TESTS)

soak: packages-test
	$(take_turns) $(B)/asan/tests $(B)/asan/leat $(B)/npm/clients
	$(Q)LEAT_SOAK=1 LEAT_BINARY=$(abspath $(B))/asan/leat $(B)/asan/tests -j2 $(LEAT_TESTS)

bench: packages-test
	$(take_turns) $(B)/bench/bench $(B)/leat $(B)/npm/bench
	$(Q)LEAT_BINARY=$(abspath $(B))/leat $(B)/bench/bench $(LEAT_BENCH)

take_turns = +$(Q)mkdir -p $(B) && flock -o $(B)/lock $(MAKE) --no-print-directory

FUZZ_SECONDS := 300
fuzz: $(FUZZERS:tests/fuzz/%.c=$(B)/fuzz/%)
	$(Q)for fuzzer in $^; do mkdir -p $$fuzzer.corpus; $$fuzzer -max_total_time=$(FUZZ_SECONDS) $$fuzzer.corpus; done

clean:
	rm -rf $(B)

# ---- packages ----

packages:
	$(Q).ci/install-packages build
packages-run:
	$(Q).ci/install-packages build servers
packages-test:
	$(Q).ci/install-packages build servers test
packages-lint:
	$(Q).ci/install-packages build servers test lint

# ---- objects: build/obj/<variant>/<source>.o ----

# $(call variant,NAME,COMPILER,FLAGS,PACKAGES)
define variant
$(B)/obj/$(1)/%.o: %.c | $(4)
	$$(Q)mkdir -p $$(@D)
	$$(if $$(Q),@echo "  $(2) $(1) $$<")
	$$(Q)$(2) $$(COMPILE) $(3) $$$$(pkg-config --cflags $$(LIBRARIES)) -MMD -MP -c $$< -o $$@
endef

objects = $(2:%.c=$(B)/obj/$(1)/%.o)

$(eval $(call variant,release,$(CC),-O2 -g,packages))
$(eval $(call variant,asan,$(CC),-O1 -g $(SANITIZE),packages-test))
$(eval $(call variant,bench,$(CC),-O2 -g,packages-test))
$(eval $(call variant,fuzz,$(CLANG),-O1 -g $(SANITIZE) -fsanitize=fuzzer-no-link,packages-lint))
$(eval $(call variant,lint-gcc,$(CC),-O2 -Werror,packages-lint))
$(eval $(call variant,lint-clang,$(CLANG),-O2 -Werror,packages-lint))

.SECONDARY:
-include $(foreach v,release asan bench fuzz lint-gcc lint-clang,$(patsubst %.c,$(B)/obj/$(v)/%.d,$(SOURCES)))

# ---- programs ----

# $(call link,COMPILER,FLAGS,MORE LIBRARIES)
define link
$(if $(Q),@echo "  link $@")
$(Q)mkdir -p $(@D)
$(Q)$(1) -pthread $(2) -o $@ $(filter %.o,$^) $$(pkg-config --libs $(LIBRARIES) $(3))
endef

$(B)/leat: $(call objects,release,$(LIB) $(PROGRAM))
	$(call link,$(CC))
$(B)/asan/leat: $(call objects,asan,$(LIB) $(PROGRAM))
	$(call link,$(CC),$(SANITIZE))
$(B)/asan/tests: $(call objects,asan,$(LIB) $(TESTS))
	$(call link,$(CC),$(SANITIZE),criterion)
$(B)/bench/bench: $(call objects,release,$(LIB)) $(call objects,bench,$(BENCH))
	$(call link,$(CC))
$(B)/fuzz/%: $(B)/obj/fuzz/tests/fuzz/%.o $(call objects,fuzz,$(LIB))
	$(call link,$(CLANG),$(SANITIZE) -fsanitize=fuzzer)

# ---- what the programs in tests/clients and tests/bench need from npm ----

$(B)/npm/%: tests/%/package.json tests/%/package-lock.json | packages-test
	@echo "  npm tests/$*"
	$(Q)cd tests/$* && npm ci --loglevel=error --no-audit --no-fund >/dev/null
	$(Q)mkdir -p $(@D) && touch $@

# ---- the schema, embedded: one string per file, one literal per line ----

# Written again at every run, moved into place only when it differs, so that a file taken away is noticed too.
$(B)/gen/sql_files.c: force
	$(Q)mkdir -p $(@D)
	$(Q)new=$@.$$$$; \
	{ printf '#include "leat/schema.h"\n\nconst struct leat_sql_file leat_sql_files[] = {\n'; \
	for file in $(SQL); do \
		printf '\t{"%s",\n' "$${file#sql/}"; \
		sed -e 's/[\\"?]/\\&/g' -e 's/.*/\t "&\\n"/' "$$file"; \
		printf '\n\t ""},\n'; \
	done; \
	printf '\t{0},\n};\n\nconst size_t leat_sql_file_count = sizeof leat_sql_files / sizeof *leat_sql_files - 1;\n'; } >$$new; \
	if cmp -s $$new $@; then rm $$new; else mv $$new $@; fi
.PHONY: force
force:

# ---- lint ----

lint: lint-compilers lint-tidy lint-cppcheck
.PHONY: lint-compilers lint-tidy lint-cppcheck
lint-compilers: $(call objects,lint-gcc,$(SOURCES)) $(call objects,lint-clang,$(SOURCES))

lint-tidy: $(HAND_WRITTEN:%.c=$(B)/tidy/%.ok)
$(B)/tidy/%.ok: %.c .clang-tidy $(wildcard include/leat/*.h) | packages-lint
	$(Q)mkdir -p $(@D)
	$(if $(Q),@echo "  clang-tidy $<")
	$(Q)clang-tidy --quiet $< -- $(COMPILE) $$(pkg-config --cflags $(LIBRARIES)) 2>&1 | sed '/warnings\? generated\.$$/d'
	$(Q)touch $@

lint-cppcheck: | packages-lint
	$(Q)cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --std=c11 --library=posix \
		-D_GNU_SOURCE -Iinclude --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=readdirCalled \
		-j$$(nproc) $(HAND_WRITTEN)

format: | packages-lint
	$(Q)clang-format -i $(HAND_WRITTEN)
