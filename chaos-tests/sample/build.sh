#!/bin/sh
# build.sh OUTDIR: builds every version of the sample app with rebar3, offline, into OUTDIR/shop-VSN.tar.gz.
# Does nothing where neither the sources nor the tools changed since the last time.
#
# A version is base/ overlaid with the directories named for it. relups need the version they come
# from in the same build directory, so the order of the builds matters.
set -eu

[ $# = 1 ] || { echo "usage: $0 OUTDIR" >&2; exit 2; }
for tool in rebar3 erlc; do
    command -v "$tool" >/dev/null || { echo "$0: $tool is missing; on Debian: apt-get install erlang-dev erlang-nox rebar3" >&2; exit 1; }
done

source_dir=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$out/.build

# Tests that run side by side share what is built.
exec 9>"$out/.lock"
flock 9

# The VM of rebar3 must not pick up the flags of a VM that runs this script.
unset ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS

stamp() {
    { find "$source_dir" -path "$source_dir/elixir" -prune -o -type f -print | LC_ALL=C sort | xargs sha256sum; rebar3 version; } | sed "s|$source_dir/||" | sha256sum
}

# build VERSION FROM OVERLAY...: FROM is `-` where there is no relup.
build() {
    version=$1 from=$2
    shift 2
    rm -rf "$work/src" "$work/config" "$work/_build/prod/lib/shop"
    mkdir -p "$work"
    cp -r "$source_dir/base/." "$work/"
    for overlay in "$@"; do cp "$source_dir/$overlay"/* "$work/src/"; done
    # The appup of the version before must not travel along.
    case " $* " in *" $version "*) ;; *) rm -f "$work/src/shop.appup.src" ;; esac
    find "$work/src" "$work/config" "$work/rebar.config" -type f -exec sed -i "s/@VSN@/$version/g" {} +
    (
        cd "$work"
        rebar3 as prod release
        [ "$from" = - ] || rebar3 as prod relup -n shop -v "$version" -u "$from"
        rebar3 as prod tar -n shop -v "$version"
    ) >"$out/build-$version.log" 2>&1 || { cat "$out/build-$version.log" >&2; exit 1; }
    mv "$work/_build/prod/rel/shop/shop-$version.tar.gz" "$out/"
    echo "built $out/shop-$version.tar.gz"
}

now=$(stamp)
if [ -f "$out/stamp" ] && [ "$(cat "$out/stamp")" = "$now" ]; then
    echo "sample app: nothing changed"
    exit 0
fi
rm -rf "$work" "$out/stamp"
build 0.1.0 -
build 0.2.0 0.1.0 0.2.0
build 0.3.0 0.2.0 0.2.0 0.3.0
build 0.3.1 0.2.0 0.2.0 0.3.1
build 0.4.0 - 0.2.0
echo "$now" >"$out/stamp"
