#!/bin/sh
# build.sh PROGRAMS OUTDIR: makes OUTDIR/relupd_VERSION_ARCH.deb of the programs relupd and relupctl in
# PROGRAMS. Needs dpkg-dev and binutils, and no network: nothing is fetched and no helper is built, so a
# package can be made wherever the programs can. Run twice on the same programs it makes the same bytes.
# COMPRESSION=none is for tests: xz takes longer than everything else. So is VERSION=..., for a package that
# pretends to be another version.
set -eu

[ $# = 2 ] || { echo "usage: $0 PROGRAMS OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
deploy=$(dirname "$here")
sources=$(dirname "$deploy")
programs=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)

for tool in dpkg-deb dpkg-shlibdeps dpkg-parsechangelog objcopy; do
    command -v "$tool" >/dev/null || { echo "$0: $tool is missing: apt-get install dpkg-dev binutils" >&2; exit 1; }
done
version=${VERSION:-$(dpkg-parsechangelog -l "$here/changelog" -S Version)}
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$here/changelog" -S Timestamp)
export SOURCE_DATE_EPOCH
arch=$(dpkg --print-architecture)
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
doc=$root/usr/share/doc/relupd

program() { # program NAME
    install -d "$root/usr/bin"
    objcopy --strip-unneeded --remove-section=.comment "$programs/$1" "$root/usr/bin/$1"
    chmod 755 "$root/usr/bin/$1"
}
file() { # file SOURCE TARGET
    install -D -m 644 "$1" "$root/$2"
}
packed() { # packed SOURCE TARGET
    install -d "$(dirname "$root/$2")"
    gzip -9n <"$1" >"$root/$2.gz"
    chmod 644 "$root/$2.gz"
}

program relupd
program relupctl
file "$deploy/systemd/relupd.service" usr/lib/systemd/system/relupd.service
file "$deploy/systemd/relupd-upgrade.service" usr/lib/systemd/system/relupd-upgrade.service
file "$deploy/systemd/relupd-upgrade-resume.service" usr/lib/systemd/system/relupd-upgrade-resume.service
file "$deploy/systemd/relupd-app@.service" usr/lib/systemd/system/relupd-app@.service
file "$deploy/systemd/relupd.sysusers" usr/lib/sysusers.d/relupd.conf
file "$deploy/systemd/relupd.tmpfiles" usr/lib/tmpfiles.d/relupd.conf
file "$deploy/systemd/50-relupd.rules" usr/share/polkit-1/rules.d/50-relupd.rules
install -d "$root/etc/relupd/apps"
# What the daemon says of itself, and what relupctl compares: two packages of one program are two versions.
printf 'version %s\narchitecture %s\n' "$version" "$arch" >"$work/package"
file "$work/package" usr/lib/relupd/package
format=$("$programs/relupd" --version | sed -n 's/^format //p')
[ -n "$format" ] || { echo "$0: $programs/relupd does not say which format it reads" >&2; exit 1; }

for shell in bash zsh fish; do "$programs/relupctl" completion $shell >"$work/$shell"; done
file "$work/bash" usr/share/bash-completion/completions/relupctl
file "$work/zsh" usr/share/zsh/vendor-completions/_relupctl
file "$work/fish" usr/share/fish/vendor_completions.d/relupctl.fish

install -d "$work/man1" "$work/man8"
"$programs/relupctl" manual "$work/man1"
"$programs/relupd" manual "$work/man8"
for page in "$work"/man1/*.1; do packed "$page" "usr/share/man/man1/$(basename "$page")"; done
# The daemon is for administrators: its pages are in section 8.
for page in "$work"/man8/*.1; do
    name=$(basename "$page" .1)
    sed 's/^\(\.TH [^ ]*\) 1 /\1 8 /' "$page" >"$work/page"
    cat "$here/$name.8.in" >>"$work/page" 2>/dev/null || true
    packed "$work/page" "usr/share/man/man8/$name.8"
done

file "$here/copyright" usr/share/doc/relupd/copyright
packed "$here/changelog" usr/share/doc/relupd/changelog.Debian
packed "$sources/CHANGELOG.md" usr/share/doc/relupd/NEWS.md
file "$sources/docs/examples/relupd.toml" usr/share/doc/relupd/examples/relupd.toml
file "$sources/docs/examples/app.toml" usr/share/doc/relupd/examples/app.toml
file "$deploy/examples/relupd.nft" usr/share/doc/relupd/examples/relupd.nft
file "$here/lintian-overrides" usr/share/lintian/overrides/relupd
[ -d "$doc" ]

install -d "$root/DEBIAN"
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN/$script"; done
mkdir "$work/debian"
printf 'Source: relupd\n\nPackage: relupd\nArchitecture: any\n' >"$work/debian/control"
shlibs=$(cd "$work" && dpkg-shlibdeps -O -e "$root/usr/bin/relupd" -e "$root/usr/bin/relupctl" 2>/dev/null |
    sed -n 's/^shlibs:Depends=//p')
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@SHLIBS@/$shlibs/" \
    -e "s/@FORMAT@/$format/" \
    "$here/control.in" >"$root/DEBIAN/control"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\n' | LC_ALL=C sort | xargs md5sum >DEBIAN/md5sums)
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +

package=$out/relupd_${version}_$arch.deb
# The control archive as gzip: relupctl and the host read it before they believe the package.
dpkg-deb --root-owner-group --no-uniform-compression "-Z${COMPRESSION:-xz}" --build "$root" "$package" >/dev/null
echo "$package"
