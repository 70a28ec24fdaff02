#!/bin/sh
# The whole test suite: with cargo-nextest where it is installed, else with cargo test.
set -eu
: "${CARGO:=cargo}"
# End-to-end tests start the real programs, so these are built first.
$CARGO build --workspace --all-features
# So that no test has to, while others wait for it.
./chaos-tests/sample/build.sh target/samples
if $CARGO nextest --version >/dev/null 2>&1; then
    $CARGO test --workspace --all-features --doc
    $CARGO nextest run --workspace --all-features
else
    $CARGO test --workspace --all-features
fi
# One of the tests boots real systemd hosts, where it can.
echo "real systemd hosts: $(./target/debug/chaos-hosts check)"
