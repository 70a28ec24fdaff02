# What a user runs. Each target does its own set-up.
CARGO ?= cargo
export CARGO_TERM_COLOR ?= auto

.PHONY: crash-matrix sim-bugs all setup demo clean-demo test lint bench sim chaos walk upgrade rehearsals hosts programs deb link

# What is installed, and what tries it. The simulator asks for features of the daemon that are for tests alone,
# and whatever is built along with it would have them.
all:
	$(CARGO) build --release

# Debian packages that are missing; nothing else is changed on the machine.
setup:
	./deploy/setup.sh

demo: setup
	$(CARGO) build --release -p relupd -p relupctl -p chaos-tests
	./target/release/chaos-demo --directory target/demo $(if $(KEEP),--keep)

# Ends the cluster that `make demo KEEP=1` has left running.
clean-demo:
	./target/release/chaos-demo --directory target/demo --stop

test: setup
	./deploy/test.sh

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features -- -D warnings
	./deploy/deny.sh

bench: setup
	$(CARGO) build --release -p relupd -p relupctl -p chaos-tests --features relupd/testing
	./target/release/chaos-bench --directory target/bench

# The seeded simulator over the daemon's own code; its figures go to target/sim/report.json. Memory that is freed stays
# with the process: a thousand nodes take the same pages again and again.
SEEDS ?= 1000
sim:
	$(CARGO) build --profile simulation -p relupd-sim
	MIMALLOC_PURGE_DELAY=-1 ./target/simulation/relupd-sim --seeds $(SEEDS) --report target/sim/report.json

# Each deliberate bug in node/sim/bugs must break a promise; before `make sim`, whose report takes the figures.
sim-bugs:
	./node/sim/bugs/run.sh $(BUGS)

# What real hosts are made to install, the very programs of the package, and what plays on them.
HOSTS = ./target/release/chaos-hosts --programs target/dist
hosts: programs
	$(CARGO) build --release -p relupd -p relupctl -p chaos-tests

# What the package holds.
programs:
	$(CARGO) build --profile dist -p relupd -p relupctl

# Real systemd hosts, broken in many ways; needs root. All of it: make chaos FULL=1; where that was stopped, GO_ON=1 goes on.
chaos: setup hosts
	mkdir -p target/chaos
	$(HOSTS) --hosts 5 --report target/chaos/report.json chaos $(if $(FULL),--full) $(if $(GO_ON),--go-on)
	$(if $(FULL),$(MAKE) upgrade rehearsals)

# relupd itself, rolled over real systemd hosts that serve an app: to a build of the next format and back, one that does
# not start, and a power cut in the middle. Needs root.
upgrade: setup
	$(CARGO) build --release -p relupd --features next-format
	install -D target/release/relupd target/hosts/next/relupd
	$(MAKE) hosts
	mkdir -p target/chaos
	$(HOSTS) --hosts 4 --report target/chaos/upgrade.json upgrade

# What operations.md tells an administrator to do, done: lost quorums, a lost cluster, the Ansible role. Needs root.
rehearsals: setup hosts
	$(HOSTS) --hosts 3 recovery
	$(HOSTS) --hosts 2 recovery
	$(HOSTS) --hosts 3 ansible

# A random walk over real systemd hosts: faults and orders drawn from a seed. SEED= walks the same way again.
MINUTES ?= 10
walk: setup hosts
	mkdir -p target/chaos
	$(HOSTS) --hosts 5 --report target/chaos/report.json walk --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# A node broken at every point of every way from one version to another and back, with real VMs; power cuts take root.
# Everything there is, which takes hours: make crash-matrix CELLS=
CELLS ?= 480
crash-matrix: setup
	$(CARGO) build -p relupd -p relupctl -p chaos-tests --all-features
	./target/debug/chaos-crash --directory target/crash-matrix $(if $(CELLS),--cells $(CELLS),--hangs 100)

# The Debian package, target/deb/relupd_VERSION_ARCH.deb; lintian looks at it where that is installed.
deb: programs
	package=$$(./deploy/debian/build.sh target/dist target/deb) && echo $$package && \
		if command -v lintian >/dev/null; then lintian --fail-on error $$package; \
		else echo 'SKIPPED: lintian is not installed (apt-get install lintian)'; fi

# The Erlang module that the daemon carries with it, from its source.
link: setup
	./node/src/driver/erlang/build-link.sh
