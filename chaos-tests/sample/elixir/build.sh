#!/bin/sh
# build.sh OUTDIR: builds the Elixir sample with mix, offline: greeter-VSN.tar.gz with sasl, and
# plain-VSN.tar.gz without; umbrella-VSN.tar.gz. Does nothing where neither the sources nor the tools changed since the last time.
set -eu

[ $# = 1 ] || { echo "usage: $0 OUTDIR" >&2; exit 2; }
command -v mix >/dev/null || { echo "$0: mix is missing; on Debian: apt-get install elixir" >&2; exit 1; }
source_dir=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$out/.build

# Tests that run side by side share what is built.
exec 9>"$out/.lock"
flock 9
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS
export MIX_ENV=prod LC_ALL=C.UTF-8

stamp() {
    { find "$source_dir" -type f | LC_ALL=C sort | xargs sha256sum; mix --version; } | sed "s|$source_dir/||" | sha256sum
}

# build VERSION NAME WITH_SASL [PROJECT RELEASE]
build() {
    project=${4:-base} release=${5:-greeter}
    rm -rf "$work"
    cp -r "$source_dir/$project" "$work"
    [ "$project" != base ] || [ ! -f "$source_dir/$1/counter.ex" ] || cp "$source_dir/$1/counter.ex" "$work/lib/greeter/"
    find "$work" -type f -exec sed -i "s/@VSN@/$1/g" {} +
    (cd "$work" && WITH_SASL=$3 mix release --overwrite) >"$out/build-$2.log" 2>&1 || { cat "$out/build-$2.log" >&2; exit 1; }
    mv "$work/_build/prod/$release-$1.tar.gz" "$out/$2-$1.tar.gz"
}

now=$(stamp)
if [ -f "$out/stamp" ] && [ "$(cat "$out/stamp")" = "$now" ]; then exit 0; fi
rm -f "$out/stamp"
for version in 0.1.0 0.2.0; do
    build $version greeter 1
    build $version plain 0
    build $version umbrella 0 umbrella umbrella
done
cp "$source_dir/0.2.0/greeter.appup" "$out/"
echo "$now" >"$out/stamp"
