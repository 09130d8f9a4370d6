# Needs Go and a C compiler (for the race detector); the tools come through the Go module proxy.

SHELL := bash

# Nothing built here is shipped, and stamping fails in a checkout that belongs to another user.
export GOFLAGS := $(shell go env GOFLAGS) -buildvcs=false

# How long make fuzz stays on each target (30s, 100000x), and what make bench and make herd pass on.
FUZZTIME ?= 5s
BENCHFLAGS ?=
HERDFLAGS ?=

# The modules of our own code: the root and those nested in it.
NESTED := $(patsubst %/go.mod,%,$(filter-out tools/go.mod,$(wildcard */go.mod)))
MODULES := . $(NESTED)

# golangci-lint refuses code for a newer Go than built it, so the key has Go's version besides its own.
LINT := $(CURDIR)/.bin/$(shell (go env GOVERSION; cat tools/go.mod tools/go.sum) | cksum | cut -d' ' -f1)/golangci-lint

.PHONY: check test deps vet lint fmt tidy short race nested fuzz smoke cover bench herd help

## check: the quick one, before every commit
check: vet lint tidy short

## test: everything, as CI runs it; tests come last so that the log ends with their result
test: deps vet lint tidy smoke fuzz race nested

## deps: the servers that tests start; as root they are installed by apt-get, otherwise it says how
deps:
	@for p in redis-server redis-sentinel; do \
		command -v $$p >/dev/null && continue; \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo "The tests need $$p, of Redis 7.0 or later: sudo apt-get install $$p, or whatever your system has for it." >&2; \
			exit 1; \
		fi; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get install -y $$p || { apt-get update && apt-get install -y $$p; } || exit; \
	done

## vet: go vet, and what go fix would modernise
vet:
	for m in $(MODULES); do (cd $$m && go vet ./... && go fix -diff ./...) || exit; done

## lint: golangci-lint and formatting; gofmt sees the generated files that golangci-lint leaves out
lint: $(LINT)
	for m in $(MODULES); do (cd $$m && $(LINT) run -c $(CURDIR)/.golangci.yml --allow-parallel-runners ./...) || exit; done
	$(LINT) fmt --diff
	gofmt -d .

$(LINT):
	rm -rf .bin
	go build -C tools -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

## fmt: put right what vet and lint can put right themselves
fmt: $(LINT)
	for m in $(MODULES); do (cd $$m && go fix ./...) || exit; done
	$(LINT) fmt

## tidy: every go.mod and go.sum holds what the code needs
tidy:
	for m in $(MODULES) tools; do (cd $$m && go mod tidy -diff) || exit; done

## short: the quick tests of the root module
short:
	go test -short ./...

## race: all tests of the root module
race:
	go test -race -shuffle=on ./...

## nested: all tests of the nested modules
nested:
	for m in $(NESTED); do (cd $$m && go test ./...) || exit; done

## fuzz: every fuzz target for FUZZTIME, one at a time
#
# Before Go 1.27 a target may fail, saying only "context deadline exceeded", because its time is over
# (go.dev/issue/75804). Findings are told apart by their deeper indent: they print within a test of their own.
fuzz:
	@set -euo pipefail; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	targets=$$(go test -list '^Fuzz' ./... | awk '/^Fuzz/ {f[n++] = $$1} /^ok/ {while (n) print $$2 ":" f[--n]}'); \
	for t in $$targets; do \
		echo "fuzz $$t"; \
		go test -run '^$$' -fuzz "^$${t#*:}\$$" -fuzztime $(FUZZTIME) "$${t%:*}" | tee "$$log" || \
			{ grep -qx '    context deadline exceeded' "$$log"; echo 'Its time is over: no finding.'; }; \
	done

## smoke: the program of the README and the other examples run
smoke: deps
	go run ./examples/quickstart
	go run ./examples/service
	go run ./examples/redis

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

## help: this list
help:
	@sed -n 's/^## /make /p' Makefile
