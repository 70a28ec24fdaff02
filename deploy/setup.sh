#!/bin/sh
# Installs what is missing on Debian: a C compiler and linker for the crates that need one, Erlang to
# build and run the sample releases, rebar3 and Elixir to build them. Does nothing where all of it is there.
set -eu

missing=
need() { # need COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need cc gcc
need erl erlang-base
need erlc erlang-base
need rebar3 rebar3
need mix elixir
[ -n "$missing" ] || exit 0

command -v apt-get >/dev/null 2>&1 || {
    echo "these Debian packages are missing, and there is no apt-get here:$missing" >&2
    exit 1
}
run=
[ "$(id -u)" = 0 ] || run=sudo
$run apt-get update
# shellcheck disable=SC2086 # a list of words
$run env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
