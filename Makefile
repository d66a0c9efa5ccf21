# The commands of this project. Each does its own set-up on a machine with Rust, Python 3, git and a C compiler.
.DEFAULT_GOAL := help
.PHONY: help demo test lint audit stack-up stack-down conformance attack breakage faults storm bench sweep-bench pool-bench hostile isolation instances pool world replay pool-worlds mutants upgrade build iam templates package release-try user-pipeline layer symbols

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

# The toolchain is pinned in rust-toolchain.toml. Where rustup cannot fetch it and the installed stable one is of the
# same version, that one is it.
PINNED := $(shell sed -n 's/^channel = "\(.*\)"$$/\1/p' rust-toolchain.toml)
HAS_PINNED := $(shell rustup run $(PINNED) rustc --version >/dev/null 2>&1 && echo yes)
STABLE_IS_PINNED := $(shell rustup run stable rustc --version 2>/dev/null | grep -qF 'rustc $(PINNED) ' && echo yes)
ifneq ($(HAS_PINNED),yes)
ifeq ($(STABLE_IS_PINNED),yes)
export RUSTUP_TOOLCHAIN := stable
endif
endif

# When this make began (ms), and how a long command is told of its end where the kernel's way to do so is installed.
BEGAN := $(shell date +%s%3N)
FOLLOWING := $(if $(shell command -v setpriv),setpriv --pdeathsig TERM)

STATE ?= .local
LOCAL := target/release/runnerless-local
TEMPLATES := template.yaml pool/template.yaml ami/template.yaml network/template.yaml images/executor/template.yaml
# One profile and one set of features for everything: the AWS SDK is built once.
CARGO_FLAGS := --release --workspace --locked

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

build: ## the functions, the commands, the simulator and the local stack's driver
	@exec $(FOLLOWING) cargo build $(CARGO_FLAGS) --bins 1>&2

symbols: ## which version of the C library each program needs that is shipped, of those that are built
	@found=(); for folder in target/layer/x86_64 target/layer/arm64 target/lambda; do [ ! -d "$$folder" ] || found+=("$$folder"); done; \
	layers/glibc.sh "$${found[@]}"

layer: ## the layer with the tools that jobs find on Lambda, for both architectures (ARCH=x86_64 or arm64: one)
	@layers/tools/make.sh $${ARCH:-x86_64 arm64}

# Values of users reach the shell through the environment only, so that no character of theirs means anything to it.
export ARCH STATE KEEP REPO EXPECT NONCE CASES OFFICIAL OUT SEED ROUNDS CPU_MB ONLY SLOW JOBS OFF SHOW ABOUT EVERY ROWS DUE FROM TRACE WORLDS
# Bash has a variable of this name.
export WORLD_SECONDS := $(SECONDS)

# This machine's only.
.PHONY: own-layer
own-layer:
	@layers/tools/make.sh $(if $(filter aarch64,$(shell uname -m)),arm64,x86_64)

# The commands end when make does, also when it is killed: it is the parent of each.
demo: build $(if $(filter 1,$(BARE)),own-layer) ## the main job end to end on the local stack (BARE=1 KEEP=1 REPO=dir EXPECT=file NONCE=text OUT=file)
	@exec $(LOCAL) demo --parent "$$PPID" --state "$$STATE" --build-ms $$(($$(date +%s%3N) - $(BEGAN))) $${KEEP:+--keep} \
	  $(if $(filter 1,$(BARE)),--bare) \
	  $${REPO:+--repo "$$REPO"} $${EXPECT:+--expect "$$EXPECT"} $${NONCE:+--nonce "$$NONCE"} $${OUT:+--out "$$OUT"}

stack-up: build ## start and deploy the local stack and leave it running (STATE=dir)
	@exec $(LOCAL) up --parent "$$PPID" --state "$$STATE"

stack-down: ## end the local stack (STATE=dir)
	@if [ -x $(LOCAL) ]; then exec $(LOCAL) down --state "$$STATE"; fi; \
	if { [ -e "$$STATE/stack.lock" ] && ! flock -n "$$STATE/stack.lock" true; } || \
	  [ -n "$$(ls "$$STATE/drivers" 2>/dev/null)" ]; then \
	  echo "a stack may run in $$STATE, and the command that ends it is not built: make build && make stack-down" >&2; \
	  exit 1; \
	fi

conformance: build ## job descriptions through our engine (CASES=dir OFFICIAL=path OUT=file)
	@exec $(LOCAL) conformance --parent "$$PPID" --state "$$STATE" $${CASES:+--cases "$$CASES"} \
	  $${OFFICIAL:+--official "$$OFFICIAL"} $${OUT:+--out "$$OUT"}

attack: build ## bad requests against the front door, then mutated hooks (CASES=dir SEED=n OUT=file STATE=dir)
	@exec $(LOCAL) attack --parent "$$PPID" --state "$$STATE" $${CASES:+--cases "$$CASES"} $${SEED:+--seed "$$SEED"} \
	  $${OUT:+--out "$$OUT"}

bench: build ## speed and size of functions and engine, beside floors of the same run (ROUNDS=20 CPU_MB=256 OUT=file)
	@exec target/release/runnerless-bench --parent "$$PPID" $${ROUNDS:+--rounds "$$ROUNDS"} $${CPU_MB:+--cpu-mb "$$CPU_MB"} \
	  $${OUT:+--out "$$OUT"}

sweep-bench: build ## one sweep over a large ledger on the emulator (ROWS=100000 DUE=500 ROUNDS=5 OUT=file STATE=dir)
	@exec target/release/runnerless-bench sweep --parent "$$PPID" --state "$$STATE/sweep-bench" \
	  $${ROWS:+--rows "$$ROWS"} $${DUE:+--due "$$DUE"} $${ROUNDS:+--rounds "$$ROUNDS"} $${OUT:+--out "$$OUT"}

pool-bench: build ## one run of the scaler over pools of 10, 100 and 1,000 members (ROUNDS=5 OUT=file)
	@exec target/release/runnerless-bench pool --parent "$$PPID" $${ROUNDS:+--rounds "$$ROUNDS"} $${OUT:+--out "$$OUT"}

hostile: build ## jobs that mean harm through the executor, each followed by a control job (CASES=dir OUT=file)
	@exec $(LOCAL) hostile --parent "$$PPID" --state "$$STATE" $${CASES:+--cases "$$CASES"} $${OUT:+--out "$$OUT"}

isolation: build ## what a job can reach, one line an attempt (OUT=file)
	@exec $(LOCAL) isolation --parent "$$PPID" --state "$$STATE" $${OUT:+--out "$$OUT"}

instances: build ## what is promised of instances, on a deployed stack, one line a case (ONLY=text OFFICIAL=path OUT=file)
	@exec $(LOCAL) instances --parent "$$PPID" --state "$$STATE/instances" $${ONLY:+--only "$$ONLY"} \
	  $${OFFICIAL:+--official "$$OFFICIAL"} $${OUT:+--out "$$OUT"}

pool: build ## a pool of runner managers on a deployed stack, sized by its scaler, one line a case (OFFICIAL=path OUT=file)
	@exec $(LOCAL) pool --parent "$$PPID" --state "$$STATE/pool" $${OFFICIAL:+--official "$$OFFICIAL"} $${OUT:+--out "$$OUT"}

breakage: build ## AWS services and executors out of order, and what comes of it (ONLY=text SLOW=1 OUT=file)
	@exec $(LOCAL) breakage --parent "$$PPID" --state "$$STATE/breakage" $${ONLY:+--only "$$ONLY"} $${SLOW:+--slow} \
	  $${OUT:+--out "$$OUT"}

faults: build ## what goes wrong with instances, side by side, and what is left of it (ONLY=text CASES=file OUT=file)
	@exec $(LOCAL) faults --parent "$$PPID" --state "$$STATE/faults" $${ONLY:+--only "$$ONLY"} $${CASES:+--cases "$$CASES"} \
	  $${OUT:+--out "$$OUT"}

# A run of more than a hundred jobs has worlds of a hundred, each with a seed of its own; SHOW lines of one world's trace,
# of those that hold ABOUT.
world: build ## simulated worlds from one seed: JOBS in all, or as many as fit into SECONDS (JOBS=n SEED=0xn SECONDS=n OFF=names SHOW=n OUT=file)
	@exec $(FOLLOWING) target/release/runnerless-world $${JOBS:+--jobs "$$JOBS"} $${SEED:+--seed "$$SEED"} \
	  $${WORLD_SECONDS:+--seconds "$$WORLD_SECONDS"} $${OFF:+--off "$$OFF"} $${SHOW:+--lines "$$SHOW"} \
	  $${ABOUT:+--about "$$ABOUT"} $${OUT:+--out "$$OUT"}

replay: build ## the scaler of pools and its rivals over a trace of jobs, or the bundled ones (TRACE=file.csv OUT=file)
	@exec $(FOLLOWING) target/release/runnerless-replay $${TRACE:+--trace "$$TRACE"} $${OUT:+--out "$$OUT"}

# The seed is the first world's, and each further world has the next.
pool-worlds: build ## random worlds in which everything goes wrong around a pool (WORLDS=1000 SEED=0xn OUT=file)
	@exec $(FOLLOWING) target/release/runnerless-replay --worlds "$${WORLDS:-1000}" --seed "$${SEED:-$$(date +%s)}" \
	  $${OUT:+--out "$$OUT"}

mutants: build ## deliberate bugs, each of which the simulated world must find within a minute (ONLY=text OUT=file)
	@exec $(FOLLOWING) target/release/runnerless-mutants --state "$$STATE/mutants" $${ONLY:+--only "$$ONLY"} $${OUT:+--out "$$OUT"}

storm: build ## jobs while hooks are lost, doubled and late and sweeps are killed (JOBS=100 SEED=n TOKEN=1 EVERY=60 OUT=file)
	@exec $(LOCAL) storm --parent "$$PPID" --state "$$STATE/storm" $${JOBS:+--jobs "$$JOBS"} $${SEED:+--seed "$$SEED"} \
	  $(if $(filter 1,$(TOKEN)),--api-token) $${EVERY:+--every "$$EVERY"} $${OUT:+--out "$$OUT"}

upgrade: build ## jobs that run while this release is deployed over another commit's (FROM=HEAD~1 JOBS=20 OUT=file)
	@helper-scripts/other-release.sh "$${FROM:-HEAD~1}" "$$STATE/upgrade" 1>&2
	@exec $(LOCAL) upgrade --parent "$$PPID" --state "$$STATE/upgrade/stack" --before "$$STATE/upgrade" \
	  $${JOBS:+--jobs "$$JOBS"} $${OUT:+--out "$$OUT"}

# Each program is started by .ci/run-test, which has the long ones run more tests at once.
test: build ## all tests
	@host="$$(rustc -vV | sed -n 's/^host: //p' | tr a-z- A-Z_)"; \
	env "CARGO_TARGET_$${host}_RUNNER=$$PWD/.ci/run-test" cargo test $(CARGO_FLAGS)

lint: .local/lint/.made ## formatting, clippy with warnings denied, template and shell
	cargo fmt --check
	cargo clippy $(CARGO_FLAGS) --all-targets -- -D warnings
	.local/lint/bin/cfn-lint --non-zero-exit-code warning $(TEMPLATES)
	.local/lint/bin/hadolint images/executor/Dockerfile
	.local/lint/bin/shellcheck .ci/run .ci/run-test ami/*.sh images/executor/*.sh release/*.sh pipelines/*.sh helper-scripts/*.sh \
	  demo/repository/*.sh crates/dev/local/tests/long/scripts/*.sh crates/dev/tidy/tests/check_ec2/aws
	.local/lint/bin/shellcheck layers/*.sh layers/tools/*.sh crates/dev/local/src/bare/root.sh
	.local/lint/bin/shellcheck -s sh crates/dev/local/src/cage/cage.sh crates/dev/local/src/bare/enter.sh
	.local/lint/bin/shellcheck -s bash crates/dev/local/src/hostile/control.sh crates/dev/local/src/isolation/plant.sh

iam: build ## write docs/iam.md anew, from the templates
	@target/release/runnerless-iam > docs/iam.md.new && mv docs/iam.md.new docs/iam.md

templates: .local/lint/.made .local/checkov/.made .local/sam/.made ## the templates by cfn-lint, sam validate and checkov
	.local/lint/bin/cfn-lint --non-zero-exit-code warning $(TEMPLATES)
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-west-1 .local/sam/bin/sam validate --lint --template template.yaml
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=eu-west-1 .local/sam/bin/sam validate --lint --template pool/template.yaml
	python3 helper-scripts/checkov.py .local/checkov/bin/checkov $(TEMPLATES)

package: .local/package/.made ## the release archive, with everything built for Lambda (ARCHITECTURES="x86_64 arm64")
	@PATH="$$PWD/.local/package/bin:$$PATH" helper-scripts/package.sh $(ARCHITECTURES)

release-try: .local/awscli/.made .local/requirements/.made .local/package/.made ## that archive deployed to the emulator from an empty folder, and each function invoked
	@release/try.sh target/package/runnerless-*.tar.gz .local/requirements/bin/python .local/awscli/bin .local/package/bin/cargo-lambda

user-pipeline: build .local/awscli/.made ## a user's Lambda function deployed by jobs of our own runner, a bad version kept out, and the way back (OUT=file)
	@exec $(LOCAL) user-pipeline --parent "$$PPID" --state "$$STATE/user-pipeline" --cli .local/awscli/bin $${OUT:+--out "$$OUT"}

audit: .local/audit/bin/cargo-deny ## licences, bans and sources of the dependencies
	.local/audit/bin/cargo-deny --locked check bans licenses sources

.local/audit/bin/cargo-deny:
	cargo install --quiet --locked --root .local/audit --target-dir target/tools cargo-deny@0.20.2

# Programs from PyPI, each in an environment of its own, from wheels with the sums of its lock file only. The file is complete,
# and older versions of pip take a package without its extras for another one: so they do not look for what is missing.
.local/%/.made: python/%.txt
	@python3 -m venv --clear .local/$* 1>&2
	@.local/$*/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r $< 1>&2
	@touch $@
