# WaveChat. `make run` builds and starts it, `make test` tests it, `make help` lists the rest.
# Settings: on the command line, in the environment, or in config.mak (ignored by git).
-include config.mak

BASE_VERSION := 0.1.0
MODE    ?= release
# release: static, stripped; debug: static, -O0; asan (with UBSan), tsan, fuzz, cov (coverage): dynamic; fault: with faults to plant (core/base/fault.h).
# Each has its own folder in build/.
# CC and AR are as make has them: cc, ar.
OBJCOPY ?= objcopy
NODE    ?= node
PREFIX  ?= /usr/local
BINDIR  ?= $(PREFIX)/bin
MANDIR  ?= $(PREFIX)/share/man
UNITDIR ?= $(PREFIX)/lib/systemd/system
ZSHDIR  ?= $(PREFIX)/share/zsh/site-functions
UNIT_BINDIR ?= $(BINDIR)# the programs' place as the unit names it
DESTDIR ?=
CIVETWEB_SRC ?=
export CIVETWEB_SRC

Q := $(if $(V),,@)
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc) # a -j on the command line wins
endif
MAKEFLAGS += --no-builtin-rules

ifeq ($(filter $(MODE),release debug asan tsan fuzz fault cov),)
$(error MODE=$(MODE): release, debug, asan, tsan, fuzz, fault or cov)
endif

# --- Version: the last tag, else the base version, and the commit's day and hash. Nothing in a build depends on when or where it is made.
ifndef VERSION
VERSION := $(shell tools/version.sh $(BASE_VERSION))
endif

# --- Flags
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wformat=2 $(if $(WERROR),-Werror)
CPPFLAGS_ALL := -D_GNU_SOURCE -Icore -isystem build/civetweb/include -MMD -MP $(CPPFLAGS)
CFLAGS_BASE  := -std=gnu11 -g -fPIE -pthread -ffile-prefix-map=$(CURDIR)=.
HARDEN       := -fstack-protector-strong -fstack-clash-protection -fcf-protection
CFLAGS_release := -O2 $(HARDEN) -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -ffunction-sections -fdata-sections
CFLAGS_debug   := -O0 -fno-omit-frame-pointer $(HARDEN)
CFLAGS_fault   := -O1 -fno-omit-frame-pointer $(HARDEN) -DWC_FAULTS
CFLAGS_asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread
CFLAGS_fuzz    := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
CFLAGS_cov     := -O0 --coverage -fprofile-update=atomic
CFLAGS_ALL     := $(CFLAGS_BASE) $(CFLAGS_$(MODE)) $(CFLAGS)
# A static program at a random address; file(1) calls it "static-pie linked". Packed relocations spare half a megabyte.
STATIC         := -static-pie -Wl,-z,pack-relative-relocs -Wl,--wrap=dlopen
WRAP_fault     := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=fsync,--wrap=fdatasync
LDFLAGS_ALL    := -pthread $(WRAP_$(MODE)) -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--gc-sections $(LDFLAGS)
LDFLAGS_SAN    := $(filter -fsanitize=% --coverage,$(CFLAGS_$(MODE)))
IS_STATIC      := $(filter release debug fault,$(MODE))
LIBS           := -ljson-c -lsqlite3 -lssl -lcrypto -lutf8proc -lz -lm
CIVETWEB       := build/civetweb/src/civetweb.c
CONFUSABLES_DIR ?= /usr/lib/python3/dist-packages/confusable_homoglyphs# Unicode's look-alikes, of python3-confusable-homoglyphs
CIVETWEB_DEFS  := -DUSE_WEBSOCKET -DUSE_IPV6 -DNO_CGI -DNO_FILES -DNO_CACHING -DUSE_X_DOM_SOCKET -DNO_SSL_DL -DOPENSSL_API_3_0

# --- What there is. core/base/static.c replaces what a static program must not use of libc; it goes into programs only.
OUT   := build/$(MODE)
BIN   := $(if $(filter release,$(MODE)),build,$(OUT))
LIB   := $(OUT)/libwavechat.a
EMBED := $(if $(wildcard tools/embed.c),build/tools/embed)
CORE  := $(patsubst %.c,$(OUT)/%.o,$(filter-out core/base/static.c,$(wildcard core/*/*.c))) $(if $(EMBED),$(OUT)/gen/assets.o) $(OUT)/gen/licenses.o $(OUT)/gen/confusables.o
NAMES := $(notdir $(patsubst %/,%,$(sort $(dir $(wildcard cmd/*/*.c)))))
UNIT  := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(wildcard tests/unit/*/test_*.c))
FUZZ  := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAY := $(FUZZ:%=$(OUT)/fuzz/replay_%)
BENCH := $(if $(wildcard tools/wavebench/*.c),$(BIN)/wavebench)
NPM   := tests/node_modules/.package-lock.json
export WAVECHATD := $(CURDIR)/$(BIN)/wavechatd
export WAVECHATCTL := $(CURDIR)/$(BIN)/wavechatctl
export WAVEBENCH := $(CURDIR)/$(BIN)/wavebench

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all setup run test docs unit net browser bench bench-programs soak hostile screenshots check-asan check-tsan fuzz nightly coverage fmt lint install uninstall deb dist check-packages clean distclean help

all: $(NAMES:%=$(BIN)/%) $(LIB) $(BENCH) ## build the programs (the default)

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-20s %s\n", $$1, $$2 }'
	@echo "  variables: MODE=release|debug|asan|tsan|fault V=1 WERROR=1 PREFIX= DESTDIR= CIVETWEB_SRC="

setup: ## install the Debian packages that a build needs (asks for root if some are missing)
	$(Q)tools/setup.sh build

# setup is done before anything is compiled, also under -j: hence a make of its own
run: ## install what is missing, build, start the chat: ARGS="--port 8081" passes options
	$(Q)tools/setup.sh build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)exec $(BIN)/wavechatd $(ARGS)

test: ## install what is missing, then all tests: docs, unit, net, browser
	$(Q)tools/setup.sh test
	$(Q)tests/total $(MAKE) --no-print-directory docs unit net-and-browser

# Those asked for together run one after another, cheapest first.
after = $(filter $(1),$(MAKECMDGOALS))
docs: $(BIN)/wavechatd ## the man pages against the tables of the sources
	$(Q)tools/check-docs.sh

unit: $(UNIT) $(REPLAY) $(BIN)/wavechatd | $(call after,docs) ## C unit tests, and the fuzz targets over their committed corpora
	$(Q)tests/unit/run $(UNIT) $(REPLAY)

net: bench-programs | $(call after,docs unit) ## the real server, over sockets: NET="net/05*.test.mjs" runs some
	$(Q)cd tests && $(NODE) run.mjs $(NET)

siege: bench-programs ## what besieges or loads a server: hostile crowds, a stranger, each attack in short, what the defaults let pass, an admin amid kills, ten thousand idle clients
	$(Q)cd tests && $(NODE) run.mjs $(SIEGE)
.PHONY: siege

browser: all $(NPM) | $(call after,docs unit net) ## the page in a real browser
	$(Q)cd tests && $(NODE) run.mjs $(BROWSER)

# Both in one run: the pages compute while the servers wait.
net-and-browser: bench-programs | $(call after,docs unit)
	$(Q)cd tests && $(NODE) run.mjs $(NET) $(BROWSER)
.PHONY: net-and-browser

engines: ## the page in Firefox and WebKit: installs what is missing, then a few real flows
	$(Q)tools/setup.sh engines
	$(Q)$(MAKE) --no-print-directory engines-ready
.PHONY: engines engines-ready
engines-ready: all $(NPM)
	$(Q)cd tests && $(NODE) run.mjs browser/engines/*.test.mjs
# Crowds, a stranger, an admin amid kills and loads that are compared take minutes of processor time: a target of its own, which .ci/run makes.
SIEGE := $(patsubst tests/%,%,$(wildcard $(patsubst %,tests/%-*.test.mjs,net/15 net/17 net/38 net/92 net/93 net/94 browser/09)))
NET ?= $(filter-out $(SIEGE),$(sort $(patsubst tests/%,%,$(wildcard tests/net/*.test.mjs))))
BROWSER ?= $(filter-out $(SIEGE),$(sort $(patsubst tests/%,%,$(wildcard tests/browser/*.test.mjs))))
export JOBS # test files, and unit programs, side by side

soak: all $(NPM) ## the checker that nothing is lost, under kills, cuts, an admin at work and a full disk: T=600 seconds each, SEED=1
	$(Q)cd tests && $(NODE) net/checker.mjs --seconds $(T) --seed $(SEED) --admin
	$(Q)cd tests && $(NODE) net/checker.mjs --seconds $(T) --seed $(SEED) --admin --disk
soak: T := 600
SEED ?= 1

hostile: all $(NPM) ## attacks while people chat, here and elsewhere: crowds, a stranger, and a row for each attack with a verdict (an hour and a half); ARGS="--rows pages,joins" or "--lines 4": those alone, --list names them
ifeq ($(strip $(ARGS)),)
	$(Q)cd tests && $(NODE) net/hostile.mjs
	$(Q)cd tests && $(NODE) net/stranger.mjs
endif
	$(Q)cd tests && $(NODE) net/fairness.mjs $(ARGS)

faults: ## faults made to order: memory, disk, clock, threads; a build of its own. FAULT_STEP=1 fails every allocation, one by one
	$(Q)$(MAKE) --no-print-directory MODE=fault faults-ready
.PHONY: faults faults-ready
faults-ready: all $(NPM)
	$(Q)cd tests && $(NODE) run.mjs faults/*.test.mjs

screenshots: all $(NPM) ## the page in its states, to be looked at, in build/screenshots
	$(Q)cd tests && $(NODE) browser/screenshots.mjs

# build/bench: the peers that are compiled, measured as they come and with the same optimisation
build/bench/%: tests/bench/%.c $(CIVETWEB)
	@mkdir -p $(@D); echo "  CC      $<"
	$(Q)$(CC) -std=gnu11 -O2 -g -D_GNU_SOURCE $(WARN) -Wno-missing-prototypes -pthread -Ibuild/civetweb/include $(CIVETWEB_DEFS) -o $@ $< \
		$(if $(findstring civetweb,$@),-isystem build/civetweb/src -w $(CIVETWEB)) -lssl -lcrypto
bench-programs: all $(NPM) build/bench/floor build/bench/peer-civetweb
bench: ## measure all servers side by side, make BENCH.md and its chart (quarter of an hour): ROUNDS=7 BENCH_ARGS="--resume"
	$(Q)tools/setup.sh bench
	$(Q)$(MAKE) --no-print-directory bench-programs
	$(Q)cd tests && $(NODE) bench/run.mjs --rounds $(ROUNDS) $(BENCH_ARGS)
ROUNDS ?= 7

check-asan: ## unit and net tests under AddressSanitizer and UBSan
	$(Q)$(MAKE) --no-print-directory MODE=asan unit net
# Without address randomisation where that is allowed: gcc 12's ThreadSanitizer does not start under the wider one of newer kernels.
check-tsan: ## unit and net tests under ThreadSanitizer
	$(Q)$$(setarch -R true 2>/dev/null && echo setarch -R) $(MAKE) --no-print-directory MODE=tsan unit net
check-asan: export ASAN_OPTIONS := detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1
check-asan: export UBSAN_OPTIONS := print_stacktrace=1
check-tsan: export TSAN_OPTIONS := second_deadlock_stack=1:history_size=4

fuzz: ## libFuzzer on every target, T=60 seconds each (needs clang)
	$(Q)tools/setup.sh fuzz
	$(Q)$(MAKE) --no-print-directory MODE=fuzz CC=clang $(FUZZ:%=fuzz-%)
T ?= 60
$(FUZZ:%=fuzz-%): fuzz-%: $(OUT)/fuzz/fuzz_%
	@mkdir -p build/corpus/$* build/crashes
	$(Q)$< -max_total_time=$(T) -max_len=65536 -print_final_stats=0 -verbosity=0 -artifact_prefix=build/crashes/$*- build/corpus/$* tests/fuzz/corpus/$*
	@echo "fuzz: $*: $(T) s, nothing found"

# Left to a machine for a night. Inputs that reach more code than the committed ones join these; so does one that broke something: every
# `make unit` then replays it. The soak is half an hour of each kind.
nightly: ## every fuzz target for 10 minutes, the checker for an hour, coverage by folder (three hours)
	$(Q)tools/setup.sh fuzz
	$(Q)status=0; $(MAKE) --no-print-directory --keep-going MODE=fuzz CC=clang T=600 $(FUZZ:%=fuzz-%) || status=1; \
	$(MAKE) --no-print-directory MODE=fuzz CC=clang $(FUZZ:%=corpus-%) || status=1; \
	$(MAKE) --no-print-directory soak T=1800 || status=1; \
	$(MAKE) --no-print-directory coverage || status=1; exit $$status
$(FUZZ:%=corpus-%): corpus-%: $(OUT)/fuzz/fuzz_%
	$(Q)mkdir -p build/corpus/$*; $< -merge=1 -verbosity=0 tests/fuzz/corpus/$* build/corpus/$*
	$(Q)for f in build/crashes/$*-*; do [ ! -e "$$f" ] || cp "$$f" tests/fuzz/corpus/$*/"$$(sha1sum <"$$f" | cut -c1-12)"; done
.PHONY: $(FUZZ:%=corpus-%)

coverage: ## lines that unit and net tests reach, as a table by folder
	$(Q)find build/cov -name '*.gcda' -delete 2>/dev/null || true
	-$(Q)$(MAKE) --no-print-directory MODE=cov unit net
	$(Q)$(NODE) tests/coverage.mjs build/cov

$(NPM): tests/package-lock.json
	@echo "  NPM     ws, playwright-core, axe-core"
	$(Q)cd tests && npm ci --silent --no-audit --no-fund && touch node_modules/.package-lock.json

fmt: ## format the C sources (clang-format 14)
	clang-format -i $(FMT)
FMT := $(wildcard core/*/*.[ch] cmd/*/*.[ch] tools/*.[ch] tools/*/*.[ch] tests/*.[ch] tests/unit/*/*.[ch] tests/fuzz/*.[ch] tests/bench/*.[ch])

lint: ## installs what is missing, then clang's warnings, the layers' rules, shell and script syntax
	$(Q)tools/setup.sh lint
	$(Q)$(MAKE) --no-print-directory lint-ready
.PHONY: lint-ready
lint-ready: $(LIB)
	$(Q)tests/lint/run
	$(Q)OUT=$(OUT) tools/lint.sh $(CPPFLAGS_ALL) $(WARN)

install: all ## PREFIX=/usr/local DESTDIR=
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(UNITDIR)
	install -m 755 $(NAMES:%=$(BIN)/%) $(DESTDIR)$(BINDIR)/
	$(foreach unit,$(UNITS),sed 's|@BINDIR@|$(UNIT_BINDIR)|' packaging/$(unit) >$(DESTDIR)$(UNITDIR)/$(unit) && chmod 644 $(DESTDIR)$(UNITDIR)/$(unit) &&) true
	$(foreach page,$(wildcard man/*.[1-8]),install -D -m 644 $(page) $(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page));)
	$(foreach shell,bash zsh fish,install -d $(dir $(DESTDIR)$(COMPLETION_$(shell))) && $(BIN)/wavechatctl completion $(shell) >$(DESTDIR)$(COMPLETION_$(shell)) && \
		chmod 644 $(DESTDIR)$(COMPLETION_$(shell)) &&) true
UNITS := wavechatd.service wavechat-backup.service wavechat-backup.timer
COMPLETION_bash := $(PREFIX)/share/bash-completion/completions/wavechatctl
COMPLETION_zsh := $(ZSHDIR)/_wavechatctl
COMPLETION_fish := $(PREFIX)/share/fish/vendor_completions.d/wavechatctl.fish
uninstall: ## what install put there
	rm -f $(DESTDIR)$(COMPLETION_bash) $(DESTDIR)$(COMPLETION_zsh) $(DESTDIR)$(COMPLETION_fish)
	rm -f $(NAMES:%=$(DESTDIR)$(BINDIR)/%) $(UNITS:%=$(DESTDIR)$(UNITDIR)/%)
	rm -f $(foreach page,$(wildcard man/*.[1-8]),$(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)))
	@rmdir --ignore-fail-on-non-empty $(foreach dir,$(INSTALLED_DIRS),$(DESTDIR)$(dir)) 2>/dev/null || true
	@for dir in $(DESTDIR)/var/lib/private/wavechat $(DESTDIR)/etc/default/wavechatd; do [ ! -e $$dir ] || \
		echo "left as it is: $$dir ($$(du -sh $$dir | cut -f1))"; done
# Those that nothing else may have made, the inner ones first.
INSTALLED_DIRS = $(UNITDIR) $(patsubst %/systemd/system,%/systemd,$(filter %/systemd/system,$(UNITDIR))) \
	$(foreach shell,bash zsh fish,$(patsubst %/,%,$(dir $(COMPLETION_$(shell)))) $(patsubst %/,%,$(dir $(patsubst %/,%,$(dir $(COMPLETION_$(shell))))))) \
	$(addprefix $(MANDIR)/man,1 7 8)

deb: all ## a Debian package, in build/
	$(Q)MAKE='$(MAKE)' packaging/package.sh deb '$(VERSION)'
dist: all ## a tarball of the static programs for any Linux, in build/
	$(Q)MAKE='$(MAKE)' packaging/package.sh dist '$(VERSION)'
check-packages: ## build both twice and compare, lintian, the unit's exposure, nginx and Caddy in front (takes minutes)
	$(Q)tools/setup.sh packages
	$(Q)$(MAKE) --no-print-directory check-packages-ready
.PHONY: check-packages-ready
check-packages-ready: all $(NPM)
	$(Q)tests/packages/run.sh
	$(Q)cd tests && $(NODE) run.mjs proxy/*.test.mjs

clean: ## all that was built; keeps what was downloaded
	rm -rf $(addprefix build/,release debug asan tsan fuzz fault cov test-logs gen tools THIRD-PARTY version probed probed-tests wavebench bench) $(NAMES:%=build/%) $(NAMES:%=build/%.debug) build/wavechat_*.deb build/wavechat-*.tar.gz
distclean: ## everything that is not in git
	rm -rf build tests/node_modules

# --- Rules
ifneq ($(file <build/version),$(VERSION))
$(shell mkdir -p build; printf '%s\n' '$(VERSION)' >build/version)
endif
# Flags changed, or the compiler: everything is made again.
FLAGS := $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(STATIC) $(LDFLAGS_ALL)
ifneq ($(file <$(OUT)/flags),$(FLAGS))
$(shell mkdir -p $(OUT); printf '%s\n' '$(FLAGS)' >$(OUT)/flags)
endif

build/probed: HEADERS := json-c/json.h sqlite3.h openssl/ssl.h utf8proc.h zlib.h
build/probed: REMEDY := make setup
build/probed-tests: HEADERS := cmocka.h
build/probed-tests: REMEDY := tools/setup.sh test
build/probed build/probed-tests:
	@mkdir -p build; command -v $(firstword $(CC)) >/dev/null || { echo "no compiler $(CC). Run: $(REMEDY)" >&2; exit 1; }
	@for h in $(HEADERS); do echo "#include <$$h>" | $(CC) $(CPPFLAGS) -E -x c -o /dev/null - 2>/dev/null || \
		{ echo "<$$h> is missing. Run: $(REMEDY)" >&2; exit 1; }; done; touch $@

$(CIVETWEB): | build/probed
	$(Q)tools/fetch-civetweb.sh build/civetweb

$(OUT)/%.o: %.c $(OUT)/flags | build/probed $(CIVETWEB)
	@mkdir -p $(@D); echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CPPFLAGS_$(basename $(notdir $@))) $(WARN) $(CFLAGS_ALL) $(CFLAGS_$(basename $(notdir $@))) -c -o $@ $<
$(OUT)/gen/%.o: build/gen/%.c $(OUT)/flags | build/probed $(CIVETWEB)
	@mkdir -p $(@D); echo "  CC      $<"
	$(Q)$(CC) $(CPPFLAGS_ALL) $(WARN) $(CFLAGS_ALL) -c -o $@ $<

$(OUT)/core/base/wc.o: build/version
CPPFLAGS_wc := -DWC_VERSION='"$(VERSION)"'
# Only this file sees civetweb, whose own style is not ours to mend.
CPPFLAGS_civet := -Ibuild/civetweb/src $(CIVETWEB_DEFS)
CFLAGS_civet := -Wno-shadow -Wno-unused -Wno-unused-parameter -Wno-missing-prototypes -Wno-write-strings -Wno-format-nonliteral \
	-Wno-sign-compare -Wno-cast-function-type -Wno-missing-field-initializers

$(LIB): $(CORE)
	@echo "  AR      $@"
	$(Q)rm -f $@ && $(AR) rcsD $@ $^

build/tools/embed: tools/embed.c | build/probed
	@mkdir -p $(@D); echo "  HOSTCC  $<"
	$(Q)$(CC) -std=gnu11 -O1 -g -D_GNU_SOURCE -Icore $(WARN) -o $@ $< -lcrypto -lz
# Folders too: a file taken away changes its folder's time.
build/gen/assets.c: $(EMBED) build/version $(shell find assets 2>/dev/null)
	@mkdir -p $(@D); echo "  EMBED   assets"
	$(Q)build/tools/embed assets $@ "$(VERSION)"

CONFUSABLES := $(CONFUSABLES_DIR)/confusables.json $(CONFUSABLES_DIR)/categories.json
build/tools/confusables: tools/confusables.c | build/probed
	@mkdir -p $(@D); echo "  HOSTCC  $<"
	$(Q)$(CC) -std=gnu11 -O1 -g -D_GNU_SOURCE $(WARN) -o $@ $< -ljson-c
build/gen/confusables.c: build/tools/confusables $(wildcard $(CONFUSABLES))
	@mkdir -p $(@D); echo "  TABLE   confusables"
	$(Q)build/tools/confusables $(CONFUSABLES_DIR) $@

# The text of --licenses: LICENSE, and the notices of the linked packages as they are installed now.
build/THIRD-PARTY: tools/notices.sh $(wildcard /var/lib/dpkg/status) | $(CIVETWEB)
	@mkdir -p $(@D); echo "  NOTICES"
	$(Q)tools/notices.sh '$(CC)' $(LIBS:-l%=%) >$@.part && mv $@.part $@
build/gen/licenses.c: LICENSE build/THIRD-PARTY
	@mkdir -p $(@D)
	$(Q){ echo '/* Generated from LICENSE and build/THIRD-PARTY. Not to be edited. */'; echo '#include "server/licenses.h"'; \
		echo 'const uint8_t wc_licenses_gz[] = {'; { cat LICENSE; printf '\n\n'; cat build/THIRD-PARTY; } | gzip -9n | od -An -v -tu1 -w32 | sed 's/  */,/g; s/^,//; s/$$/,/'; \
		echo '};'; echo 'const size_t wc_licenses_gz_len = sizeof(wc_licenses_gz);'; } >$@.part && mv $@.part $@

# $(1): program. Debug information goes aside in release mode; the sanitizers' runtimes want a dynamic program.
define program
$(OUT)/$(1)$(if $(filter release,$(MODE)),.full): $(patsubst %.c,$(OUT)/%.o,$(wildcard cmd/$(1)/*.c)) $(if $(IS_STATIC),$(patsubst %.c,$(OUT)/%.o,$(wildcard core/base/static.c))) $(LIB)
	@echo "  LD      $$@"
	$(Q)$(CC) $(CFLAGS_ALL) $(if $(IS_STATIC),$(STATIC)) $(LDFLAGS_ALL) -o $$@ $$^ $(LIBS)
build/$(1): build/release/$(1).full
	@echo "  STRIP   $$@"
	$(Q)$(OBJCOPY) --only-keep-debug $$< build/$(1).debug && $(OBJCOPY) --strip-all -R .comment --add-gnu-debuglink=build/$(1).debug $$< $$@
endef
$(foreach name,$(NAMES),$(eval $(call program,$(name))))

$(BENCH): $(patsubst %.c,$(OUT)/%.o,$(wildcard tools/wavebench/*.c)) $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_SAN) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(UNIT:$(OUT)/unit/%=$(OUT)/tests/unit/%.o): | build/probed-tests
$(OUT)/unit/%: $(OUT)/tests/unit/%.o $(LIB)
	@mkdir -p $(@D); echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS) -lcmocka $(UNIT_FLAGS_$(patsubst %/,%,$(dir $*)))
# The room's tests set the clock.
UNIT_FLAGS_room := -Wl,--wrap=mono_ms,--wrap=real_ms,--wrap=boot_ms

$(OUT)/fuzz/replay_%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/replay_main.o $(LIB)
	@mkdir -p $(@D); echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)
$(OUT)/fuzz/fuzz_%: $(OUT)/tests/fuzz/fuzz_%.o $(LIB)
	@mkdir -p $(@D); echo "  LD      $@"
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
