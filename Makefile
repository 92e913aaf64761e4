# Builds, generates and checks the whole repository. `make help` lists the targets; every step of `make test` is one.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := build

# -trimpath keeps this machine's paths out of the binaries. It is part of the key of Go's build cache, so whatever
# runs under make has it: tests and linters then use what `make build` has compiled.
export GOFLAGS := $(filter-out -trimpath,$(shell go env GOFLAGS)) -trimpath

# Modules outside the workspace want other versions than the product and are built with GOWORK=off.
CHECK := tools/check
BENCH := tools/bench
IMAGES := tools/deploy
WORKSPACE = $(patsubst $(CURDIR)/%,%,$(patsubst $(CURDIR),.,$(shell go list -m -f '{{.Dir}}')))
MODULES = $(sort $(WORKSPACE) $(patsubst %/go.mod,%,$(wildcard tools/*/go.mod)))

PLUGINS := $(notdir $(wildcard plugins/*/cmd/loop-*))
COMMANDS := $(wildcard host/cmd/* plugins/*/cmd/* plugins/examples/*/cmd/*) tools/devnet tools/conformance tools/devnet/chain/starknet/cmd/starknet-devchain
BINARIES := bin/loop $(addprefix bin/,$(PLUGINS))

.PHONY: build
build: ## Build the node, the plugins, the devnet and the conformance suite into bin/.
	go build -o bin/ $(addprefix ./,$(COMMANDS))

.PHONY: run
run: build ## Run a devnet until Ctrl-C; ARGS='--help' lists what it can do.
	@exec bin/devnet $(ARGS)

# buf starts each of them several times at once, and each start would compile what is not in the build cache.
GENERATORS := protoc-gen-go protoc-gen-go-grpc protoc-gen-connect-go protoc-gen-go-loop protoc-gen-api

.PHONY: generate
generate: .bin/buf ## Format proto/ and generate gen/ and docs/api.md from it.
	@for tool in $(GENERATORS); do go tool -n $$tool > /dev/null; done
	.bin/buf format -w
	.bin/buf generate
	.bin/buf generate --template buf.gen.api.yaml
	@$(MAKE) .venv/ready
	@if [ -e .venv/ready ]; then set -x; .bin/buf generate --template buf.gen.python.yaml; fi

.PHONY: tidy
tidy: ## Give all modules the workspace's versions and tidy their go.mod files.
	go work sync
	for module in $(MODULES); do (cd "$$module" && GOWORK=off go mod tidy); done

# ---- Tests ----

# The steps of the first group make what the others use. The others run in two lanes beside one another: one compiles and computes,
# the other waits for processes, blocks and rounds. More lanes take as long on two processors, and starve what they run.
STEPS := 'prepare generated' 'lint standalone unraced race binaries test-release' \
	'e2e test-faults hosts-if-possible solana-if-possible anvil-if-possible test-python test-tutorials fuzz-blind'

.PHONY: test
test: ## Run every test that CI runs; it stops at the first step that fails.
	@.ci/steps $(STEPS)

# go test would vet each package first, with and without the race detector, by some of the checks that lint-go makes of them all.
UNVETTED := -vet=off

.PHONY: prepare
prepare: # Python's environment downloads while the rest compiles.
	@$(MAKE) -j2 compiled .venv/ready

.PHONY: compiled
compiled: build # The tools come after, not beside: they would compile again what both share.
	@$(MAKE) tools

.PHONY: tools
tools: .bin/check .bin/buf # Those that several steps need; lint makes its own, while other steps wait for what they test.

.PHONY: generated
generated: generate # What proto/ generates is committed.
	@changed=$$(git status --porcelain gen docs/api.md); \
	if [ -n "$$changed" ]; then \
		printf '%s\nThe files above differ from what is committed: run make generate and commit them.\n' "$$changed" >&2; exit 1; \
	fi

.PHONY: unit
unit: ## Run the tests of every module.
	@$(PROMETHEUS)
	go test $(UNVETTED) -skip 'Tutorial$$' work
	@$(MAKE) unit-tools

.PHONY: unit-tools
unit-tools:
	@for module in $(CHECK) $(BENCH) $(IMAGES) tools/release; do \
		echo "go test in $$module"; (cd "$$module" && GOWORK=off go test $(UNVETTED) ./...); \
	done

PROMETHEUS = command -v prometheus > /dev/null || \
	echo 'The program prometheus is not installed: the tests in which one scrapes a node are left out.'

# What the tests of Python and those of Go that run its plugins have in common: the environment, or a sentence that says why
# there is none.
PYTHON_PROJECTS := sdk/python $(wildcard plugins/examples/python-*)
.venv/ready: sdk/python/venv.sh sdk/python/requirements-dev.txt $(PYTHON_PROJECTS:%=%/pyproject.toml)
	@sdk/python/venv.sh

.PHONY: python
python: .venv/ready ## Set up .venv with the Python SDK and the plugins in Python.

.PHONY: test-python
test-python: build .venv/ready ## Run the tests of the Python SDK and its plugins, and those of Go that run them.
	@if [ -e .venv/ready ]; then $(MAKE) test-python-here; fi

# Two projects at once, since each waits for processes. -count=1, since Go's test cache does not see the programs that tests run.
.PHONY: test-python-here
test-python-here:
	@$(MAKE) -j2 --output-sync=target $(PYTHON_PROJECTS:%=test-%)
	LOOP_TEST_PYTHON=$(CURDIR)/.venv/bin/python go test $(UNVETTED) -count=1 -run Python ./host/cmd/loop ./host/internal/oracle/ocr3 ./plugins/median ./sdk/go/loop/looptest/simulation ./sdk/go/loophost

.PHONY: $(PYTHON_PROJECTS:%=test-%)
$(PYTHON_PROJECTS:%=test-%): test-%:
	@echo 'mypy, ruff and pytest in $*'
	@cd $* && export PATH=$(CURDIR)/.venv/bin:$$PATH && mypy . && ruff check . && ruff format --check . && pytest -q

# Go's test cache does not see what the commands of tutorials read.
.PHONY: test-tutorials
test-tutorials: build .venv/ready ## Run the commands of the tutorials in docs/plugins.md, in Go and in Python, as their readers do.
	LOOP_TEST_PYTHON=$$(if [ -e .venv/ready ]; then echo $(CURDIR)/.venv/bin/python; fi) \
		go test $(UNVETTED) -count=1 -timeout 40m -run 'Tutorial$$' ./host/internal/scaffold

# go list -export compiles every package and, unlike go build, links no program: the release's are linked by test-release.
.PHONY: standalone
standalone: # The workspace hides a requirement that a module forgot to state.
	@for module in $(WORKSPACE) $(CHECK) $(BENCH); do \
		echo "compile and vet $$module by itself"; \
		(cd "$$module" && GOWORK=off go list -export ./... > /dev/null && GOWORK=off go vet ./...); \
	done

.PHONY: binaries
binaries: build .bin/check # What the binaries link, what it costs at start, and under which licences it stands.
	.bin/check links $(BINARIES)
	.bin/check inittrace $(BINARIES)
	.bin/check licences $(BINARIES) bin/devnet

# The race detector compiles all that it sees anew. So packages are left out whose tests link one of these; those whose tests run
# programs that were built without it; and those that share nothing between goroutines, as their code shows.
HEAVY := github.com/ethereum/go-ethereum/core/|github.com/smartcontractkit/libocr/|modernc.org/sqlite|^[^ ]*/(scaffold|tools/conformance)[.]test
CONCURRENT := \bgo [a-z]|\bsync\.|\bchan |\batomic\.|\berrgroup\.|\.Go\(|synctest|httptest|AfterFunc|context\.With
# The tests of the workspace, each after the word race or unraced. That of frames is both: it makes its system calls in another way
# under the race detector.
TESTS := go list -test -f '{{.ImportPath}} {{.Dir}} {{.Deps}}' work | grep '^[^ ]*[.]test ' | while read -r test dir deps; do \
	heavy='$(HEAVY)'; if [[ "$$test $$deps" =~ $$heavy ]] || ! grep -qE '$(CONCURRENT)' "$$dir"/*.go; then echo "unraced $${test%.test}"; \
	else echo "race $${test%.test}"; fi; \
	if [[ "$$test" = */wire/frames.test ]]; then echo "unraced $${test%.test}"; fi; done

.PHONY: race
race: ## Run the tests of the runtime under the race detector.
	@command -v cc gcc > /dev/null || { echo 'The race detector needs a C compiler, and neither cc nor gcc is installed: install gcc, then run make race.' >&2; exit 1; }
	@packages=$$($(TESTS) | sed -n 's/^race //p'); \
	CGO_ENABLED=1 go test $(UNVETTED) -race $$packages

.PHONY: unraced
unraced: # The tests that race leaves out. With it they are those of unit, each of which runs once.
	@$(PROMETHEUS)
	@packages=$$($(TESTS) | sed -n 's/^unraced //p'); \
	go test $(UNVETTED) -skip 'Tutorial$$' $$packages
	@$(MAKE) unit-tools

# A price that loses its last digit wherever it is printed from a float64, and whose answer is past 64 bits.
EXACT := 1565616210741547008

.PHONY: e2e
e2e: build ## Run devnets to their end: plugins as processes, in the node's process, killed with and without their nodes, in two languages, of any relay and product.
	bin/devnet --rounds 5 --json
	bin/devnet --rounds 5 --json --in-process --price $(EXACT)
	bin/devnet --rounds 20 --json --kill-every 2s
	bin/devnet --rounds 10 --json --kill-every 1s --kill nodes,plugins
	bin/devnet --chain starknet --starknet-rpc 0.10 --rounds 10 --json
	bin/devnet --chain starknet --starknet-rpc 0.9 --rounds 3 --json --price $(EXACT)
	bin/devnet --chain starknet --starknet-rpc 0.8 --rounds 3 --json
	bin/devnet --rounds 5 --json --job-template docs/examples/rate-of-contract.toml.tmpl
	@if [ -e .venv/ready ]; then set -x; bin/devnet --rounds 20 --json --langs go,python; fi
	bin/devnet --product ocr3median=bin/loop-ocr3-median --ocr 3 --check median --rounds 15 --json --kill-every 1s --no-lost-votes
	bin/devnet --product ocr3median=bin/loop-ocr3-median --check median --rounds 10 --json --kill-every 5s --kill network --kills 4
	@if [ -e .venv/ready ]; then set -x; bin/devnet --product twap=.venv/bin/loop-twap --product-config '{"window": 10}' --check twap \
		--rounds 15 --json --kill-every 2s --no-lost-votes; fi
	go build -tags bare -o .bin/bare/ ./host/cmd/loop ./plugins/median/cmd/loop-median
	@$(MAKE) test-attacks
	rm -rf .bin/acme && bin/loop new plugin acme --kind relayer --lang go --sdk . --dir .bin/acme
	cd .bin/acme && export GOWORK=off && go mod tidy && go build .
	bin/devnet --bin-dir .bin/bare --rounds 10 --json --plugin relayer:acme=.bin/acme/loop-acme
	@if [ -e .venv/ready ]; then set -x; bin/devnet --bin-dir .bin/bare --rounds 10 --json \
		--plugin 'relayer:acme=.venv/bin/loop-relayer-python --relay acme'; fi

# Most faults only wait for what a node says: many at once, whatever the number of processors.
.PHONY: test-faults
test-faults: build ## Make every fault of docs/troubleshooting.md on nodes that run, and check what they say of it; as root those of disks too.
	LOOP_BIN_DIR=$(CURDIR)/bin LOOP_TEST_PYTHON=$$(if [ -e .venv/ready ]; then echo $(CURDIR)/.venv/bin/python; fi) \
		go test $(UNVETTED) -count=1 -timeout 20m -parallel 64 ./tools/devnet/faults

# The limits are wide, for busy machines and old kernels: without the bound on the silence of connections, a split of 30 s lasts
# 27 s beyond its end. A node finds its peers without a bootstrapper once libocr has stored their addresses, every two minutes.
.PHONY: test-hosts
test-hosts: build ## Run a devnet whose nodes have hosts of their own, and break its network; it needs root and /dev/net/tun.
	bin/devnet --hosts --json --healed-within 15s --joined-within 30s \
		--net 'cut 3 at 3s for 10s' \
		--net 'split 0,1|2,3 at 18s for 30s' \
		--net 'delay 300ms at 54s for 20s' --net 'restart 3 at 55s' \
		--net 'stop 0 at 125s for 40s' --net 'move 2 at 127s'

.PHONY: hosts-if-possible
hosts-if-possible: # Where there may be namespaces; elsewhere it says why not.
	@if reason=$$(unshare --net sh -c ': <> /dev/net/tun' 2>&1); then $(MAKE) test-hosts; \
	else echo "Network namespaces with TUN devices cannot be made here ($$reason). The devnet on hosts of their own is left out."; fi

# ---- A Solana chain for tests: programs in C for its machine, and a validator's interface in Node.js ----

CLANG ?= $(firstword $(shell command -v clang-19 clang 2> /dev/null))
SBF := $(CLANG) -target bpfel -mcpu=v2 -O2 -fno-builtin -ffreestanding -Wall -Wextra -Werror -mllvm -bpf-stack-size=4096
FACADE := tools/devnet/chain/solana/facade
PACKAGES := bin/solana/facade/node_modules/.package-lock.json

# Prints the sentence of the first tool that is missing.
MISSING_SOLANA = \
	for tool in node npm; do command -v $$tool > /dev/null || echo "The Solana chain runs in Node.js, and the program $$tool is not installed: install Node.js 20 or later with npm, then run make solana."; done | head -1; \
	if [ -z "$(CLANG)" ] || ! "$(CLANG)" -print-targets 2> /dev/null | grep -q bpfel; then echo 'The programs of the Solana chain are compiled by clang with its BPF target, and there is none: install clang-19, or name it with CLANG=, then run make solana.'; fi

.PHONY: solana
solana: ## Build the Solana chain of devnet --chain solana into bin/; it needs clang-19, Node.js 20 and npm.
	@missing=$$($(MISSING_SOLANA)); if [ -n "$$missing" ]; then echo "$$missing" >&2; exit 1; fi
	@$(MAKE) bin/solana/ocr_2.so bin/solana/store.so $(PACKAGES)
	@cp $(FACADE)/*.mjs bin/solana/facade/
	go build -o bin/ ./tools/devnet/chain/solana/cmd/solana-devchain

bin/solana/%.so: tools/devnet/chain/solana/programs/%.c tools/devnet/chain/solana/programs/svm.h $(wildcard tools/devnet/chain/solana/internal/sbf/*.go)
	@mkdir -p $(@D)
	$(SBF) -c $< -o bin/solana/$*.o
	go run ./tools/devnet/chain/solana/cmd/sbflink $(CURDIR)/bin/solana/$*.o $(CURDIR)/$@
	@rm bin/solana/$*.o

$(PACKAGES): $(FACADE)/package.json $(FACADE)/package-lock.json
	@mkdir -p bin/solana/facade
	cp $^ bin/solana/facade/
	cd bin/solana/facade && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: test-solana
test-solana: build solana ## Run the tests and the devnets that need the Solana chain.
	LOOP_SOLANA_DIR=$(CURDIR)/bin/solana go test $(UNVETTED) -count=1 ./tools/devnet/chain/solana/... ./plugins/solana
	bin/devnet --chain solana --rounds 5 --json
	bin/devnet --chain solana --rounds 5 --json --max-duration-query 0 --price $(EXACT)
	bin/devnet --chain solana --rounds 10 --json --kill-every 2s

.PHONY: solana-if-possible
solana-if-possible: # Where its tools are; elsewhere it says which are not.
	@missing=$$($(MISSING_SOLANA)); if [ -n "$$missing" ]; then echo "$$missing The tests of Solana are left out."; else $(MAKE) test-solana; fi

# ---- A second EVM client for tests: anvil, a program that npm brings ----

ANVIL := bin/anvil/node_modules/.package-lock.json

# Prints the sentence of the first tool that is missing.
MISSING_ANVIL = for tool in node npm; do command -v $$tool > /dev/null || echo "Anvil comes by npm, and the program $$tool is not installed: install Node.js 20 or later with npm, then run make test-anvil."; done | head -1

# Anvil is in the packages themselves. Their script would only download it if npm had left it out.
$(ANVIL): tools/devnet/anvil/package.json tools/devnet/anvil/package-lock.json
	@mkdir -p bin/anvil
	cp $^ bin/anvil/
	cd bin/anvil && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: test-anvil
test-anvil: build ## Run the devnet's network and the tests of the EVM relayer on anvil; it needs Node.js 20 and npm.
	@missing=$$($(MISSING_ANVIL)); if [ -n "$$missing" ]; then echo "$$missing" >&2; exit 1; fi
	@$(MAKE) $(ANVIL)
	LOOP_ANVIL_DIR=$(CURDIR)/bin/anvil LOOP_DEVNET=$(CURDIR)/bin/devnet go test $(UNVETTED) -count=1 ./tools/devnet/anvil ./plugins/evm

.PHONY: anvil-if-possible
anvil-if-possible: # Where its tools are; elsewhere it says which are not.
	@missing=$$($(MISSING_ANVIL)); if [ -n "$$missing" ]; then echo "$$missing The tests on anvil are left out."; else $(MAKE) test-anvil; fi

.PHONY: attack
attack: ## Attack a node by a hostile plugin in every way and write what comes of it into docs/security.md; it needs root and Landlock.
	go test -count=1 ./host/cmd/loop -run TestAttacks -update
	go test -count=1 ./host/internal/fallback -run TestHostileRelayers -update

.PHONY: test-attacks
test-attacks: build ## Have a plugin attack its node while the devnet's feed goes on, as root and as an ordinary user.
	LOOP_DEVNET=$(CURDIR)/bin/devnet LOOP_TEST_PYTHON=$$(if [ -e .venv/ready ]; then echo $(CURDIR)/.venv/bin/python; fi) \
		go test $(UNVETTED) -count=1 ./host/cmd/loop -run TestAttacksOnANetwork

.PHONY: chaos
chaos: build ## Break plugins in every way and write what comes of it into docs/reliability.md; ARGS='--short' is quicker.
	go build -o bin/ ./tools/chaos
	bin/chaos --page docs/reliability.md $(ARGS)

# ---- The model of Starknet, held to Cairo ----

CAIRO := tools/devnet/chain/starknet/cairo

.PHONY: test-starknet-cairo
test-starknet-cairo: ## Give the model of the Starknet aggregator and its Cairo the same felts; it takes minutes, Node.js 20 and npm.
	@for tool in node npm; do command -v $$tool > /dev/null || { echo "Cairo runs in Node.js, and the program $$tool is not installed: install Node.js 20 or later with npm, then run make test-starknet-cairo." >&2; exit 1; }; done
	@mkdir -p bin/cairo
	cp $(CAIRO)/package.json $(CAIRO)/package-lock.json bin/cairo/
	cd bin/cairo && npm ci --no-audit --no-fund --loglevel=error
	LOOP_CAIRO_DIR=$(CURDIR)/bin/cairo go test -count=1 -timeout 30m -v ./$(CAIRO)

# ---- Linters ----

.PHONY: lint
lint: lint-go lint-proto lint-modules lint-project lint-documents lint-images ## Run every linter.

# All modules of the workspace in one run, which reads what they share once; those outside it one by one.
.PHONY: lint-go
lint-go: .bin/golangci-lint
	.bin/golangci-lint run $(patsubst %,./%/...,$(WORKSPACE))
	@for module in $(CHECK) $(BENCH) $(IMAGES) tools/release; do \
		echo "golangci-lint run in $$module"; \
		(cd $$module && GOWORK=off $(CURDIR)/.bin/golangci-lint run ./...); \
	done

.PHONY: lint-proto
lint-proto: breaking
	.bin/buf lint
	.bin/buf format --diff --exit-code

# The contract may not break what was there before: before this branch left origin/main, or, on main itself and where
# there is no origin, before the last commit. BASE=v1.2.0 compares with another one. A break that is meant is declared, by a line
# "Breaks-Contract: why" in the message of a commit since.
.PHONY: breaking
breaking: .bin/buf
	@base=$${BASE:-$$(git merge-base HEAD origin/main 2> /dev/null || true)}; \
	if [ -z "$$base" ] || [ "$$base" = "$$(git rev-parse HEAD)" ]; then base=HEAD~1; fi; \
	if ! git cat-file -e "$$base:proto" 2> /dev/null; then \
		echo "buf breaking is left out: there is no earlier commit that holds proto/."; \
	elif git log --format=%B "$$base..HEAD" | grep '^Breaks-Contract: '; then \
		echo "buf breaking is left out: a commit since $$(git rev-parse --short "$$base") declares a break."; \
	else \
		echo ".bin/buf breaking, against $$(git rev-parse --short "$$base")"; \
		git archive --format=tar "$$base" buf.yaml proto | .bin/buf breaking --against '-#format=tar'; \
	fi

.PHONY: lint-modules
lint-modules:
	@for module in $(MODULES); do \
		echo "go mod tidy -diff of $$module"; \
		(cd "$$module" && GOWORK=off go mod tidy -diff) || { echo "$$module/go.mod is not tidy: run make tidy." >&2; exit 1; }; \
	done

.PHONY: lint-project
lint-project: .bin/check
	.bin/check imports
	.bin/check names
	.bin/check paths
	.bin/check shape
	.bin/check docs
	.bin/check examples

# Go's test cache does not see a file of another module, and most documents are one of those that test them.
.PHONY: lint-documents
lint-documents:
	go test $(UNVETTED) -count=1 -run '(Page|Documents|Documented)$$' ./host/internal/cli ./host/internal/config ./host/internal/door \
		./host/internal/node ./tools/conformance ./tools/devnet ./tools/devnet/faults

.PHONY: lint-images
lint-images: .bin/deploy # With BuildKit's own linter, which needs no container engine.
	.bin/deploy deploy/*.Dockerfile

# ---- Container images ----

TAG ?= latest

.PHONY: image
image: ## Build the images loop-node and loop-plugins; it needs docker. TAG=v1.2.0 names them.
	@command -v docker > /dev/null || { echo 'The images are built by docker, and it is not installed: install docker, then run make image.' >&2; exit 1; }
	@docker version > /dev/null 2>&1 || { echo 'The images are built by docker, and its daemon does not answer: start it, or name it by DOCKER_HOST, then run make image.' >&2; exit 1; }
	docker build -f deploy/node.Dockerfile --build-arg VERSION="$$(git describe --always --dirty)" -t loop-node:$(TAG) .
	docker build -f deploy/plugins.Dockerfile --build-arg NODE_IMAGE=loop-node:$(TAG) -t loop-plugins:$(TAG) .

# The builds have no network in the test, so that what they need is downloaded before.
.PHONY: test-deploy
test-deploy: lint-images .bin/golangci-lint ## Build the images and run the node from them, without a daemon; it wants root, podman, runc and debootstrap.
	cd $(IMAGES) && GOWORK=off ../../.bin/golangci-lint run ./...
	@cd host && GOWORK=off go list -deps ./cmd/loop > /dev/null
	@for plugin in $(PLUGINS:loop-%=%); do (cd plugins/$$plugin && GOWORK=off go list -deps ./cmd/loop-$$plugin > /dev/null); done
	cd $(IMAGES) && LOOP_DEPLOY_DIR=$(CURDIR)/.bin/images GOWORK=off go test -count=1 -timeout 40m -v -run '^TestImages$$' .

# ---- Releases ----

DIST ?= dist
PYTHON ?= python3
TARGETS ?= linux/amd64,linux/arm64,darwin/amd64,darwin/arm64

.PHONY: release
release: ## Make a release of the last commit: VERSION=v0.1.0; modules and tags, programs, Python packages and checksums in dist/.
	@GOWORK=off go build -C tools/release -o $(CURDIR)/.bin/release .
	.bin/release --version '$(VERSION)' --out '$(DIST)' --targets '$(TARGETS)' --python '$(PYTHON)'

# The release is made in a clone, which takes its commit and tags, and installed from there as its users would install it.
.PHONY: test-release
test-release: .venv/ready ## Make a release for this platform and build new plugins against it, in Go and Python.
	@rm -rf .bin/released && git clone --quiet . .bin/released
	$(MAKE) -C .bin/released release VERSION=v0.0.1-rc.1 TARGETS=$$(go env GOOS)/$$(go env GOARCH) \
		PYTHON=$$(if [ -e .venv/ready ]; then echo $(CURDIR)/.venv/bin/python; fi)
	@cd .bin/released/dist && sha256sum --check --quiet SHA256SUMS && tar -xzf loop_v*.tar.gz --strip-components=1 && tar -xzf modules_v*.tar.gz && ls man/loop.1 completions/loop.bash > /dev/null
	cd .bin/released/dist && export GOWORK=off GONOSUMDB=github.com/loop-plugins/loop GOPROXY=file://$$PWD/modules_v0.0.1-rc.1,file://$$(go env GOMODCACHE)/cache/download,$$(go env GOPROXY) \
		GOMODCACHE=$$PWD/mod GOFLAGS='-trimpath -modcacherw -mod=mod' && \
		bin/loop version && bin/loop new plugin mine && cd loop-mine && go build . && ./loop-mine --version
	@if [ -e .venv/ready ]; then set -x; cd .bin/released/dist && $(CURDIR)/.venv/bin/python -m venv environment && \
		environment/bin/pip install --quiet --disable-pip-version-check --no-index --no-deps --find-links . loop-plugin loop-median-python && \
		bin/loop new plugin theirs --lang python && environment/bin/pip install --quiet --disable-pip-version-check ./loop-theirs && \
		environment/bin/loop-theirs --version && bin/conformance --kind median --patience 10 --run '^(init|objects)/' -- environment/bin/loop-theirs; fi
	@rm -rf .bin/released

# ---- Tools, built when their modules change ----

.bin/buf: tools/buf/go.mod tools/buf/go.sum
	GOWORK=off go build -C tools/buf -o $(CURDIR)/$@ github.com/bufbuild/buf/cmd/buf
	@touch $@

.bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	GOWORK=off go build -C tools/lint -o $(CURDIR)/$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

.bin/deploy: $(wildcard $(IMAGES)/*.go) $(IMAGES)/go.mod
	GOWORK=off go build -C $(IMAGES) -o $(CURDIR)/$@ .
	@touch $@

.bin/bench: $(wildcard $(BENCH)/*.go) $(BENCH)/go.mod
	GOWORK=off go build -C $(BENCH) -o $(CURDIR)/$@ .
	@touch $@

.bin/check: $(wildcard $(CHECK)/*.go) $(CHECK)/go.mod
	GOWORK=off go build -C $(CHECK) -o $(CURDIR)/$@ .
	@touch $@

# ---- For people ----

.PHONY: install
install: install-loop $(PLUGINS:loop-%=install-%) ## Install loop and every plugin into GOBIN; install-loop, install-median and so on install one.

.PHONY: install-loop
install-loop:
	cd host && go install ./cmd/loop
	@printf 'Installed %s. Its configuration: loop node config\n' "$$(cd host && go list -f '{{.Target}}' ./cmd/loop)"

.PHONY: $(PLUGINS:loop-%=install-%)
$(PLUGINS:loop-%=install-%): install-%:
	cd plugins/$* && go install ./cmd/loop-$*
	@path=$$(cd plugins/$* && go list -f '{{.Target}}' ./cmd/loop-$*); name=$$(echo $* | tr a-z A-Z); \
	printf 'Installed %s. To have the node launch it: export CL_%s_CMD=%s\n' "$$path" "$$name" "$$path"

FUZZTIME ?= 10s
FUZZ ?= .
FUZZ_TARGETS = grep -rno --include='*_test.go' --exclude-dir=.bin '^func Fuzz[[:alnum:]_]*' . | grep -E '$(FUZZ)' | sort

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s) each; FUZZTIME=1h takes almost two days, FUZZ=regexp chooses targets.
	@$(FUZZ_TARGETS) | { \
	failed=; \
	while IFS=: read -r file _ target; do \
		go test -run '^$$' -fuzz "^$${target#func }\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || failed="$$failed $$file"; \
	done; \
	if [ -n "$$failed" ]; then echo "What was found is in testdata/fuzz beside$$failed: commit it with what fixes it." >&2; exit 1; fi; }

# Instrumentation leads inputs to new code, but all that a target links is compiled anew for it, which takes minutes. Here inputs
# are made from the seeds at random. Their number is bounded and not their time: Go now and then reports the end of a time as a
# failure.
.PHONY: fuzz-blind
fuzz-blind: ## Run every fuzz target with a thousand inputs, without instrumentation.
	@rm -rf .bin/fuzz && mkdir -p .bin/fuzz
	@$(FUZZ_TARGETS) | cut -d: -f1 | xargs -n 1 dirname | sort -u | xargs -P 2 -I {} sh -c 'go test -c -ldflags="-s -w" -o ".bin/fuzz/$$(echo {} | tr / -)" {}'
	@$(FUZZ_TARGETS) | sed -E 's#^(.*)/[^/]*:[0-9]+:func (.*)#\1 \2#' | xargs -P 2 -n 2 sh -c ' \
		program="$(CURDIR)/.bin/fuzz/$$(echo "$$0" | tr / -)"; cd "$$0"; \
		said=$$("$$program" -test.run "^$$" -test.fuzz "^$$1\$$" -test.fuzztime 1000x -test.fuzzcachedir "$(CURDIR)/.bin/fuzz/cache" \
			-test.parallel 1 -test.timeout 5m 2>&1) && echo "$$1 in $$0: $$(echo "$$said" | grep -o "execs: [0-9]*" | tail -1)" || \
			{ echo "$$said"; echo "What was found is in testdata/fuzz of $$0: commit it with what fixes it." >&2; exit 1; }'

# What benchmarks print is kept for benchstat.
.PHONY: bench
bench: .bin/bench .venv/ready ## Measure what the boundary costs and write docs/performance.md; ARGS='-only regexp' measures some of it and writes nothing.
	@set -o pipefail; if [ -e .venv/ready ]; then export LOOP_TEST_PYTHON=$(CURDIR)/.venv/bin/python; fi; \
	.bin/bench $(if $(findstring -only,$(ARGS)),,-page docs/performance.md) $(ARGS) | tee .bin/bench.txt

.PHONY: bench-gate
bench-gate: .bin/bench ## Compare what the boundary costs with the commit that this branch left main at, or BASE=commit.
	.bin/bench -gate $(if $(BASE),-base $(BASE)) $(ARGS)

BENCHMARKS ?= .

.PHONY: benchmarks
benchmarks: ## Run every benchmark of the code; BENCHMARKS=regexp chooses some.
	go test -run '^$$' -bench '$(BENCHMARKS)' -benchmem work

.PHONY: clean
clean: ## Remove what was built; Go's build cache stays.
	rm -rf bin .bin

.PHONY: help
help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
