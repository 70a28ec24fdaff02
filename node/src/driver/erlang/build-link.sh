#!/bin/sh
# Compiles relupd_link.erl into DIR, by default beside its source. The same compiler gives the same bytes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=$(cd "${1:-$here}" && pwd)
# The file name that the compiler is given ends up in the module.
cd "$here"
exec erlc -Werror +deterministic +no_debug_info -o "$out" relupd_link.erl
