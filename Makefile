# Holdfast. `make` alone prints what there is.
# ARGS go to the demo or to the interop runner: make demo ARGS=--json, make interop ARGS='--only dtmf'

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
# The commit's time, in Unix seconds: the box's clock is never set before it.
BUILT ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
export BUILT
STAMP := -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.buildTime=$(BUILT)
# Nothing of the machine may get into the bytes: no paths, no build id, no state of the work tree.
RELEASE := -trimpath -buildvcs=false -ldflags "-s -w -buildid= $(STAMP)"

TARGETS := linux-arm64 linux-armv7 linux-amd64
HOST := dist/host
FUZZTIME ?= 30s
BENCH ?= .
TIMEOUT ?= 10m

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help admin-test admin-picture bench-admin demo test build verify-build interop torture prompts fuzz lint bench storm bench-sip bench-media soak bundle bundle-key clean host image flash qemu-test powercut test-arm64 $(TARGETS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: host ## a branch on this machine loses its cloud and keeps talking; ARGS=--json, ARGS=--keep
	@$(HOST)/holdfast-lab demo --box $(HOST)/holdfast $(ARGS)

test: ## vet, formatting and all tests with the race detector; installs what is missing; root
	@[ "$$(id -u)" = 0 ] || { echo "make test needs root, for networks, mounts and users of its own (nothing of the machine is changed): sudo make test" >&2; exit 1; }
	@scripts/deps.sh test
	@go vet ./...
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs -r gofmt -l); \
		[ -z "$$unformatted" ] || { echo "not gofmt-ed:"; echo "$$unformatted"; exit 1; }
	@# What the race detector distorts: memory of a phone and of a leg, allocations of the media loop, floods at full rate.
	@go test -run 'MemoryPerIdlePhone|MemoryOfALeg|Alloc|BesideLiveCalls|RollOver' ./sip/stack ./media/relay ./media/rtp ./media/srtp ./media/udp
	@go test -race -timeout $(TIMEOUT) ./...

build: $(TARGETS) ## static, reproducible binaries for linux/arm64, linux/arm (v7) and linux/amd64 in dist/
	@ls -l $(foreach t,$(TARGETS),dist/$(t)/holdfast)

linux-arm64: export GOARCH = arm64
linux-armv7: export GOARCH = arm
linux-armv7: export GOARM = 7
linux-amd64: export GOARCH = amd64
$(TARGETS):
	@mkdir -p dist/$@
	@GOOS=linux CGO_ENABLED=0 go build $(RELEASE) -o dist/$@/holdfast ./firmware/cmd/holdfast

verify-build: build ## builds once more from another path with an empty build cache; the bytes must be the same
	@scripts/verify-build.sh "$(VERSION)" "$(COMMIT)" $(TARGETS)

host: # this machine's binaries, with the lab
	@mkdir -p $(HOST)
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$(STAMP)" -o $(HOST)/ ./firmware/cmd/holdfast ./firmware/cmd/holdfast-lab

interop: ## real phones, SBC and cloud (baresip, linphone, SIPp, Kamailio) against the real box; root, installs what is missing
	@scripts/deps.sh interop
	@mkdir -p $(HOST)
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$(STAMP)" -o $(HOST)/ ./firmware/cmd/holdfast
	@scripts/interop/run.py --box $(HOST)/holdfast $(ARGS)

torture: host ## the messages of RFC 4475 and RFC 5118 against the real box, with what each may lead to
	@$(HOST)/holdfast-lab torture --box $(HOST)/holdfast $(ARGS)

prompts: ## announcements and music anew, from text and tones (media/prompt/default); installs what is missing
	@scripts/deps.sh prompts
	@go run -tags libopus,nolibopusfile,bcg729 ./media/prompt/encode -out media/prompt/default
	@go test -tags libopus,nolibopusfile,bcg729 ./media/prompt/...

.PHONY: check-monitoring
check-monitoring: ## a real box's metrics, the alert rules and the dashboard (scripts/monitoring) with promtool; installs it
	@scripts/deps.sh monitoring
	@scripts/monitoring/check.sh

fuzz: ## every fuzz target for FUZZTIME (30s)
	@scripts/fuzz.sh $(FUZZTIME)

lint: ## staticcheck, shellcheck, known vulnerabilities
	@scripts/deps.sh lint
	@shellcheck $$(git ls-files -co --exclude-standard '*.sh' .ci/run)
	@go run $(STATICCHECK) ./...
	@scripts/vulncheck.sh $(GOVULNCHECK)

bench: ## benchmarks with allocations; BENCH=pattern
	@go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

storm: ## 10,000 calls with aborts at every step; nothing may be left of them; ARGS='-storm.seed N' repeats one
	@go test -count=1 -timeout $(TIMEOUT) -run '^TestStorm' -v ./firmware/box -storm.calls 10000 $(ARGS)

bench-sip: host ## registrations and calls beside Kamailio and rtpengine, in turns (root; installs them); ARGS='--rounds 1 --phones 1000'
	@scripts/deps.sh bench-sip
	@$(HOST)/holdfast-lab bench-sip --box $(HOST)/holdfast $(ARGS)

bench-admin: host ## what 200 viewers of the admin page cost while 200 calls run, as a ratio; ARGS='--rounds 1 --calls 50'
	@$(HOST)/holdfast-lab bench-admin --box $(HOST)/holdfast $(ARGS)

admin-test: host ## the admin page in headless Chromium while the lab's branch loses its cloud; pictures in dist/admin (installs Chromium)
	@scripts/deps.sh admin-test
	@scripts/admin-test.sh $(ARGS)

admin-picture: admin-test ## takes the README's picture of the admin page anew
	@cp dist/admin/readme.png scripts/pictures/admin.png

bench-media: ## the media relay beside rtpengine's user-space relay (root; installs it); ARGS=--json, ARGS='--rounds 1 --seconds 4'
	@scripts/bench-media.sh $(ARGS)

soak: ## 200 SRTP calls through the media relay for 10 minutes: nothing may grow (root); ARGS='--minutes 1 --calls 50'
	@scripts/bench-media.sh soak $(ARGS)

BOARD ?= qemu-virt
image: linux-arm64 ## the card's image in dist/image/BOARD, from Debian's arm64 packages; BOARD=qemu-virt or rpi4, REFRESH=1 fetches newer packages
	@scripts/deps.sh image
	@scripts/image/build.sh "$(BOARD)" dist/linux-arm64/holdfast "$(VERSION)" "$(COMMIT)"

flash: ## writes the image onto a card: make flash BOARD=rpi4 DEV=/dev/sdX; refuses what is mounted or not removable
	@scripts/deps.sh flash
	@scripts/image/flash.sh "$(DEV)" dist/image/$(BOARD)/card.img.zst

qemu-test: host ## the real image in QEMU, through U-Boot from its card: calls, lights, buttons, bad updates, power cuts (root; installs QEMU); ARGS=--only=life
	@scripts/deps.sh qemu-test
	@$(MAKE) image BOARD=qemu-virt
	@$(HOST)/holdfast-lab qemu-test --image dist/image/qemu-virt $(ARGS)

powercut: host ## twenty power cuts at bad moments (root); ARGS=--seed=N repeats a run
	@scripts/deps.sh qemu-test
	@$(MAKE) image BOARD=qemu-virt
	@$(HOST)/holdfast-lab qemu-test --image dist/image/qemu-virt --only cuts --cuts 20 $(ARGS)

UPDATE_KEY ?= update.key
bundle-key: ## makes the key that signs updates: UPDATE_KEY (update.key) and its public half beside it
	@go run ./scripts/bundle key $(UPDATE_KEY)

bundle: ## the signed update of an image that `make image` has made: BOARD=…, UPDATE_KEY=update.key
	@[ -e "$(UPDATE_KEY)" ] || { echo "no $(UPDATE_KEY): make bundle-key makes one, once"; exit 1; }
	@[ -d "dist/image/$(BOARD)/slot" ] || { echo "no image of $(BOARD): make image BOARD=$(BOARD) makes it"; exit 1; }
	@go run ./scripts/bundle make -key $(UPDATE_KEY) -slot dist/image/$(BOARD)/slot -o dist/image/$(BOARD)/holdfast-$(BOARD).update

# What has its own arithmetic, byte order, parsing or state. Not here: what needs sockets, processes or threads by the hundred, which the
# emulator does not do as a kernel does (make qemu-test runs that part, as a whole). TestKilled starts itself anew, which the emulator cannot.
ARM64_PACKAGES := ./sip/digest ./sip/sdp ./sip/number ./sip/route ./sip/elin ./sip/location ./sip/site ./media/rtp ./media/srtp ./media/prompt \
	./firmware/config ./firmware/mode ./firmware/outbox ./firmware/snapshot ./firmware/record ./firmware/update ./firmware/panel ./hal/...

test-arm64: ## the arm64 program's own tests under qemu-user; installs it
	@scripts/deps.sh arm64
	@CGO_ENABLED=0 GOARCH=arm64 go test -exec qemu-aarch64-static -skip '^TestKilled$$' -timeout $(TIMEOUT) $(ARM64_PACKAGES)

.PHONY: check-buildroot
check-buildroot: ## the tree for Buildroot (buildroot/): Kconfig, defconfigs, package, scripts; installs what is missing
	@scripts/deps.sh buildroot
	@scripts/check-buildroot.sh

clean: ## removes what the build and the tests made
	@rm -rf dist .cache
