#!/usr/bin/env bash
# Installs the binary of a release into the folder BIN. The archive has to match SHA256, or if that is empty, the checksums of
# the release. Without VERSION, a starttls on the search path is used as it is; otherwise the version is that of the action,
# and if that has no binary, its source is built.
set -euo pipefail

version=${VERSION:-}
if [ -z "$version" ]; then
    if command -v starttls; then exit 0; fi
    version=${ACTION_REF:-}
fi
version=${version#v}
case $(uname -sm) in
    "Linux x86_64") target=x86_64-unknown-linux-musl ;;
    "Linux aarch64") target=aarch64-unknown-linux-musl ;;
    *) target= ;;
esac
if ! [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$ && -n $target ]]; then
    if [ -n "${VERSION:-}" ]; then
        echo "error: release \"$VERSION\" has no binary for $(uname -sm); set version to a number such as 0.1.0, and use Linux on x86_64 or aarch64" >&2
        exit 2
    fi
    exec cargo install --locked --path "$(dirname "${BASH_SOURCE[0]}")/../../crates/cli"
fi

archive=starttls-$version-$target.tar.gz
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
download() {
    curl --fail --silent --show-error --location --retry 3 --max-time 120 --output "$folder/$1" "$RELEASES/v$version/$1" || {
        echo "error: cannot download $RELEASES/v$version/$1" >&2
        exit 1
    }
}
download "$archive"
if [ -n "${SHA256:-}" ]; then
    echo "$SHA256  $archive" >"$folder/expected"
else
    download SHA256SUMS
    grep -F "  $archive" "$folder/SHA256SUMS" >"$folder/expected" || {
        echo "error: SHA256SUMS of version $version does not list $archive" >&2
        exit 1
    }
fi
(cd "$folder" && sha256sum --check --strict --quiet expected) >&2 || {
    echo "error: $archive is not the expected file; nothing was installed" >&2
    exit 1
}
mkdir -p "$BIN"
tar --extract --gzip --file "$folder/$archive" --directory "$BIN" --strip-components 1 "${archive%.tar.gz}/starttls"
if [ -n "${GITHUB_PATH:-}" ]; then echo "$BIN" >>"$GITHUB_PATH"; fi
"$BIN/starttls" --version
