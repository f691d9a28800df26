# peercam's build. `make run` is all that a new machine needs; `make test` is
# all that a change needs.

GO      ?= go
BIN     := bin/peercam
# nomicrophone: our own microphone driver takes the place of mediadevices'.
# nolibopusfile: opus without the file format. dynamic: the system's codecs.
TAGS    := nomicrophone,nolibopusfile,dynamic
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
LDFLAGS := -s -w -X main.version=$(VERSION)

export CGO_ENABLED := 1

.PHONY: run build deps deps-test test race fuzz bench bench-net lint clean help test-devices dist macos-app

run: build ## install what is missing, build, and share the camera
	@exec $(BIN) share $(ARGS)

build: deps ## build bin/peercam
	@echo "building $(BIN)" >&2
	@$(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/peercam

deps: ## install the C libraries: libvpx, opus, libjpeg-turbo
	@./.make/deps build

deps-test: ## install what the tests need as well: Chromium and the reference tools
	@./.make/deps build test

test: deps-test ## every test, with the race detector
	$(GO) vet -tags $(TAGS) ./...
	$(GO) test -race -tags $(TAGS) -timeout 15m ./...
	@./.make/test-devices --if-possible

test-devices: deps-test ## cameras and microphones, in a virtual machine that has some (Debian on amd64)
	@./.make/test-devices $(ARGS)

dist: ## release tarballs in dist/, DIST="amd64 arm64 armhf windows"; installs cross compilers (Debian)
	@./.make/dist $(VERSION) $(DIST)

macos-app: build ## bin/Peercam.app, which macOS asks about camera and microphone (on macOS)
	@./.make/macos/app $(BIN) $(VERSION)

FUZZTIME ?= 20s
fuzz: deps-test ## run every fuzz target for FUZZTIME
	@for p in ./capture ./encode ./peer ./signaling ./cmd/peercam; do \
	  for f in $$($(GO) test -tags $(TAGS) -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

bench: deps-test ## every figure that the README speaks of
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -skip '^BenchmarkNet$$' -benchmem -timeout 60m ./...

NET ?= .
bench-net: ## what is seen over bad links, as root on Linux: step thin loss5 wifi outage two forty, or one of them with NET=
	@if [ "$$(uname)" != Linux ] || [ "$$(id -u)" != 0 ]; then \
	  echo "bench-net shapes links between network namespaces: run it as root on Linux" >&2; exit 1; fi
	@./.make/deps build test
	$(GO) test -tags $(TAGS) -run '^$$' -bench '^BenchmarkNet$$/$(NET)' -v -timeout 60m ./cmd/peercam

lint: ## gofmt, vet and golangci-lint where it is installed
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) vet -tags $(TAGS) ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run --build-tags $(TAGS); else echo "golangci-lint is not installed: skipped" >&2; fi

clean: ## remove what was built
	rm -rf bin dist

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
