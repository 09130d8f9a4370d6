# Needs Go and a C compiler (for the race detector); the tools come through the Go module proxy.

SHELL := bash

# Nothing built here is shipped, and stamping fails in a checkout that belongs to another user.
export GOFLAGS := $(shell go env GOFLAGS) -buildvcs=false

# How make test builds and runs. With cold caches most of its time is for building: nothing but a debugger needs DWARF, vet
# has a target of its own, and the compiler collects its garbage less often. Some tests mostly wait, so others run beside.
TEST := GOGC=800 GOFLAGS="$(GOFLAGS) -gcflags=all=-dwarf=false" \
	go test -vet=off -parallel 8 -p $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))

# How long make fuzz stays on each target (30s, 100000x), and what make bench and make herd pass on.
FUZZTIME ?= 5s
BENCHFLAGS ?=
HERDFLAGS ?=

# The modules of our own code: the root and those nested in it.
NESTED := $(patsubst %/go.mod,%,$(filter-out tools/go.mod,$(wildcard */go.mod)))
MODULES := . $(NESTED)

# golangci-lint refuses code for a newer Go than built it, so the key has Go's version besides its own.
LINT := $(CURDIR)/.bin/$(shell (go env GOVERSION; cat tools/go.mod tools/go.sum) | cksum | cut -d' ' -f1)/golangci-lint

.PHONY: check test ci rest deps vet lint fmt tidy short race nested models fuzz smoke cover bench herd herd-short help
# Targets run one after another, but for those that test starts together.
ifndef TOGETHER
.NOTPARALLEL:
endif

## check: the quick one, before every commit
check: vet lint tidy short

## test: all tests of all modules, in about four minutes
test: deps
	@$(MAKE) --no-print-directory TOGETHER=1 --jobs=2 --output-sync=line race nested

## ci: all that CI runs
ci: test rest

## rest: what CI runs besides the tests; fuzz comes last so that the log ends with a result of go test
rest: vet lint tidy smoke models herd-short fuzz

## deps: redis-server and redis-sentinel, which tests start; as root they come from apt-get, otherwise it says how
#
# Debian's redis-server is a system service around a program of redis-tools. The program does by its name what it is
# to do: check a dump, serve, or watch over servers. So redis-tools and two links will do, and no service is installed.
deps:
	@set -e; command -v redis-server >/dev/null && command -v redis-sentinel >/dev/null && exit; \
	[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { \
		echo "The tests need redis-server and redis-sentinel, of Redis 7.0 or later, on the PATH." >&2; \
		echo "Debian and Ubuntu: sudo make deps, or sudo apt-get install redis-server redis-sentinel" >&2; \
		exit 1; \
	}; \
	echo "deps: installing redis-tools"; \
	export DEBIAN_FRONTEND=noninteractive; \
	install="apt-get install -y --no-install-recommends redis-tools"; \
	$$install || { apt-get update && $$install; }; \
	for p in redis-server redis-sentinel; do \
		command -v $$p >/dev/null || ln -s "$$(command -v redis-check-rdb)" /usr/local/bin/$$p; \
	done; \
	redis-server --version

## vet: go vet, and what go fix would modernise
vet:
	@echo "vet: what go vet and go fix find, half a minute"
	@for m in $(MODULES); do (cd $$m && go vet ./... && go fix -diff ./...) || exit; done

## lint: golangci-lint and formatting; gofmt sees the generated files that golangci-lint leaves out
lint: $(LINT)
	@echo "lint: golangci-lint and formatting, a minute"
	@for m in $(MODULES); do (cd $$m && $(LINT) run -c $(CURDIR)/.golangci.yml --allow-parallel-runners ./...) || exit; done
	@$(LINT) fmt --diff
	@gofmt -d .

$(LINT):
	@echo "golangci-lint: building it, three minutes, once for each version of it and of Go"
	@rm -rf .bin
	@go build -C tools -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

## fmt: put right what vet and lint can put right themselves
fmt: $(LINT)
	@for m in $(MODULES); do (cd $$m && go fix ./...) || exit; done
	@$(LINT) fmt

## tidy: every go.mod and go.sum holds what the code needs
tidy:
	@echo "tidy: go.mod and go.sum of every module, a few seconds"
	@for m in $(MODULES) tools; do (cd $$m && go mod tidy -diff) || exit; done

## short: the quick tests of the root module
short: deps
	@echo "short: the quick tests, a minute, and two more to build them the first time"
	@go test -short ./...

## race: all tests of the root module under the race detector; the packages that take longest come first
race: deps
	@echo "race: all tests under the race detector, four minutes, one and a half if all is built"
	@$(TEST) -race -shuffle=on ./properties_test ./redisstore ./...

## nested: all tests of the nested modules
nested:
	@echo "nested: the tests of $(NESTED), beside them"
	@for m in $(NESTED); do (cd $$m && $(TEST) ./...) || exit; done

## models: the searches that race cuts short, in full, without the race detector
models: deps
	@echo "models: the properties in full, a minute and a half"
	@go test ./properties_test ./internal/flight ./internal/tier

## fuzz: every fuzz target for FUZZTIME, one at a time
#
# Before Go 1.27 a target may fail, saying only "context deadline exceeded", because its time is over
# (go.dev/issue/75804). Findings are told apart by their deeper indent: they print within a test of their own.
fuzz:
	@echo "fuzz: each target for $(FUZZTIME)"
	@set -euo pipefail; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	targets=$$(grep -roE --include='*_test.go' '^func Fuzz\w+' . | sed -E 's|/[^/]+:func |:|'); \
	for t in $$targets; do \
		echo "fuzz $$t"; \
		go test -run '^$$' -fuzz "^$${t#*:}\$$" -fuzztime $(FUZZTIME) "$${t%:*}" | tee "$$log" || \
			{ grep -qx '    context deadline exceeded' "$$log"; echo 'Its time is over: no finding.'; }; \
	done

## smoke: the examples run
smoke: deps
	@echo "smoke: the examples, half a minute"
	@for e in quickstart service redis; do go run ./examples/$$e || exit; done

## cover: the share of statements that tests reach; details in cover.out
cover:
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -func=cover.out | tail -1

## bench: zodiac and its peers side by side, with BENCHFLAGS
bench:
	cd benchmarks && go run . $(BENCHFLAGS)

## herd: processes, faults and a checker, in some five minutes, with HERDFLAGS; -docs docs writes what docs/ shows
herd: deps
	go run ./internal/herd/cmd $(HERDFLAGS)

## herd-short: five of the scenarios, in a minute; none has a bar that a busy machine cannot keep
herd-short: deps
	@echo "herd-short: processes and servers stopped, restarted and cut off, a minute"
	@go run ./internal/herd/cmd -run '^(frozen-often|restarted|nuisances|evicting|memory-cut)$$'

## help: this list
help:
	@sed -n 's/^## /make /p' Makefile
