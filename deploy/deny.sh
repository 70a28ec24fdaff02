#!/bin/sh
# Licenses, advisories and sources of every dependency, where cargo-deny is installed. It is not
# installed here: building it takes longer than all other checks together.
set -eu
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --all-features check
else
    echo "cargo-deny is not installed: licenses and advisories were not checked (cargo install cargo-deny)"
fi
