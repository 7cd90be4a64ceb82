# The project's commands; `make help` lists them.
# The tools are pinned in tools/go.mod and built by Go itself, once, into its build cache: nothing has to be installed.

.DEFAULT_GOAL := help

export BENCH ?= .
TIMEOUT   ?= 60m
PARALLEL  ?= 4
TESTFLAGS ?=
PEERS     ?=

tool    := go tool -modfile=$(CURDIR)/tools/go.mod
modules := . $(patsubst %/go.mod,%,$(wildcard */go.mod))
# The tools module has requirements but no package.
code    := $(filter-out tools,$(modules))

# $(call each,modules,command) runs the command in every module, and fails if any did.
each = @status=0; for module in $(1); do echo "$$module: $(2)"; (cd $$module && $(2)) || status=1; done; exit $$status

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: format vet lint tidy build ## Check formatting, vet, lint, go.mod files and the build

.PHONY: fmt
fmt: ## Format the Go code
	$(tool) gofumpt -w . .ci

.PHONY: test
test: compiler ## Run all tests with the race detector; TESTFLAGS='-run Name' is handed to go test
	@status=0; go run ./internal/testenv/with -- $(MAKE) --no-print-directory tests || status=1; \
	$(MAKE) --no-print-directory tests-oldest || status=1; exit $$status

.PHONY: bench
bench: ## Run benchmarks and print the figures; BENCH=regexp selects both
	go test -run '^$$' -bench "$$BENCH" -benchmem -timeout 60m ./...
	cd bench && go run . -figures "$$BENCH"

.PHONY: bench-peers
bench-peers: ## Measure event stores of other projects beside ours; PEERS='-rounds 1 -json FILE' is handed on
	cd bench && go run . -peers $(PEERS)

# The part of test that runs once the servers do. All packages share them. Backends whose tests are many processes go last,
# one by one: beside other packages, all that these processes did would be to lose their leases.
alone  := ./backends/postgres ./backends/redis
tested := CGO_ENABLED=1 go test -race -parallel $(PARALLEL) -timeout $(TIMEOUT)

.PHONY: tests
tests:
	@status=0; apart=$$(go list $(alone)) || exit 1; \
	for module in $(code); do \
		(cd $$module && $(tested) $(TESTFLAGS) $$(go list ./... | grep -vxF "$$apart")) || status=1; \
	done; \
	$(tested) -p 1 $(TESTFLAGS) $(alone) || status=1; exit $$status

# The part of test that runs once more on the oldest PostgreSQL that will do, where it is installed: the suite of the
# backend, and the migrations. What these do not touch knows nothing of the server's version.
OLDEST    ?= /usr/lib/postgresql/15/bin
ON_OLDEST ?= ^TestBackend$$|[Mm]igrat|[Ss]chema

.PHONY: tests-oldest
tests-oldest:
	@if [ ! -x $(OLDEST)/postgres ]; then echo "no PostgreSQL in $(OLDEST): its tests do not run" >&2; exit 0; fi; \
	NECROSTACK_POSTGRES= NECROSTACK_TESTENV=local NECROSTACK_POSTGRES_PROGRAMS=$(OLDEST) \
		$(tested) -run '$(ON_OLDEST)' $(TESTFLAGS) ./backends/postgres ./migrations

# The parts of check.

.PHONY: format
format:
	@unformatted=$$($(tool) gofumpt -l . .ci) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted, run 'make fmt':"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet:
	$(call each,$(code),go vet ./...)
	go vet ./.ci

.PHONY: lint
lint:
	$(tool) golangci-lint config verify
	$(call each,$(code),$(tool) golangci-lint run ./...)
	$(tool) golangci-lint run ./.ci

.PHONY: tidy
tidy:
	$(call each,$(modules),go mod tidy -diff)

# What is built here is thrown away, so it needs no version stamp and works in any kind of checkout.
.PHONY: build
build:
	$(call each,$(code),go build -buildvcs=false -o /dev/null ./...)

# The race detector needs the C compiler that Go is set to use.
.PHONY: compiler
compiler:
	@cc=$$(go env CC); if command -v $${cc%% *} >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev; } >&2; \
	else \
		echo "the race detector needs a C compiler ($$cc): install gcc and the C library's headers" \
			"(Debian, Ubuntu: apt-get install gcc libc6-dev; macOS: xcode-select --install)" >&2; exit 1; \
	fi
