#!/usr/bin/env bash
# Deliberate bugs: applies each patch beside this script to a copy of the sources, builds the simulator of it and
# runs seeds until a promise is broken. A bug that survives them is a hole in the model, the faults or the checks.
# The sources as they are run first: a seed that fails there would prove nothing about a bug.
#
#   node/sim/bugs/run.sh [NAME ...]      only these bugs
#   SEEDS=300                            so many seeds for each at most
#   PATIENCE=600                         so many seconds for each at most
#   ONLY_BUGS=1                          the sources themselves are known to hold
#
# Writes target/sim/bugs/results.tsv, from which `relupd-sim` takes the two figures of its report; a run of some bugs
# renews their lines alone.
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD
bugs=$root/node/sim/bugs
work=$root/target/sim/bugs
tree=$work/tree
seeds=${SEEDS:-300}
patience=${PATIENCE:-600}
# One for all bugs, and apart from the workspace's: cargo takes a copy's crates for the workspace's own, stale ones included.
export CARGO_TARGET_DIR=$work/target
quick=(--config profile.dev.debug=false --config 'profile.dev.package."*".opt-level=2')

mkdir -p "$tree"
# Only what differs is written, so that cargo builds what a patch touches and nothing else.
refresh() {
    find Cargo.toml Cargo.lock proto node ctl chaos-tests -type f -print0 | while IFS= read -r -d '' file; do
        cmp --silent "$file" "$tree/$file" || install -D --mode 644 "$file" "$tree/$file"
    done
    (cd "$tree" && find . -type f -print0) | while IFS= read -r -d '' file; do
        [ -e "$file" ] || rm "$tree/$file"
    done
}

build() {
    (cd "$tree" && cargo build --quiet "${quick[@]}" -p relupd-sim --bin relupd-sim) && cp "$CARGO_TARGET_DIR/debug/relupd-sim" "$work/relupd-sim"
}

# One line: PROMISE SEED, or nothing where all seeds have passed.
first_broken() {
    timeout "$patience" "$work/relupd-sim" --until-violation --max-seeds "$seeds" --from "${1:-1}" >"$work/output" 2>&1 || true
    awk '/^S[0-9]+:|^[a-z]+:/ { promise = $1; sub(":", "", promise) } /replay: .* --seed/ { print promise, $NF; exit }' "$work/output"
}

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for patch in "$bugs"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

refresh
if [ -z "${ONLY_BUGS:-}" ]; then
    build
    read -r promise seed _ <<<"$(first_broken) - -"
    if [ "$promise" != - ]; then
        echo "the sources themselves break $promise at seed $seed: mend that first" >&2
        exit 1
    fi
fi

# The line of one bug, in the place of the one it had. A line whose patch is gone goes with it.
record() {
    { while IFS=$'\t' read -r known promise seed; do
        [ "$known" != "$1" ] && [ -e "$bugs/$known.patch" ] && printf '%s\t%s\t%s\n' "$known" "$promise" "$seed"
    done < <(cat "$work/results.tsv" 2>/dev/null); printf '%s\t%s\t%s\n' "$@"; } >"$work/results.new"
    mv "$work/results.new" "$work/results.tsv"
    printf '%s\t%s\t%s\n' "$@"
}

caught=0
for name in "${names[@]}"; do
    refresh
    if ! patch --directory "$tree" --strip 1 --silent --forward --no-backup-if-mismatch <"$bugs/$name.patch" >"$work/patch" 2>&1; then
        record "$name" - 'does not apply'
        continue
    fi
    if ! build >"$work/build" 2>&1; then
        record "$name" - 'does not build'
        continue
    fi
    read -r promise seed _ <<<"$(first_broken) - -"
    if [ "$promise" = - ]; then
        record "$name" - "survives $seeds seeds"
    else
        caught=$((caught + 1))
        record "$name" "$promise" "seed $seed"
    fi
done
refresh

echo "caught $caught of ${#names[@]}"
[ "$caught" -eq "${#names[@]}" ]
