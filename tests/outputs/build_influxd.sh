#!/bin/sh
# Build an InfluxDB 2.x server (`influxd`, API only, no web pages) once, for the tests that need a real one.
#
#   tests/outputs/build_influxd.sh [TARGET]      default: ~/.cache/denchi/influxd
#
# Needs Go >= 1.25, a Rust toolchain with cargo, a C compiler and pkg-config, and the ordinary
# Go and Rust package registries. Takes a quarter to half an hour on two cores.
# Why this shape (read in influxdb's own makefile and go.mod, v2.9.1):
#  * its go.mod has `replace` lines, so `go install path@version` refuses it: they are repeated here;
#  * flux links libflux (Rust) by cgo through a pkg-config wrapper, influxdata/pkg-config, which runs cargo;
#  * flux's rust-toolchain.toml names a toolchain and cross targets: RUSTUP_TOOLCHAIN overrides it
#    with the one that is installed;
#  * without the `assets` tag no web pages are fetched; the API, tokens, buckets and Flux are whole.
set -eu

VERSION=${INFLUXDB_VERSION:-v2.9.1}
PKG_CONFIG_VERSION=${INFLUX_PKG_CONFIG_VERSION:-v0.3.0}
TARGET=${1:-$HOME/.cache/denchi/influxd}
WORK=${INFLUXD_BUILD_DIR:-${TMPDIR:-/tmp}/influxd-build}

for tool in go cargo cc pkg-config; do
  command -v "$tool" >/dev/null || { echo "$tool is needed to build influxd" >&2; exit 1; }
done
mkdir -p "$WORK/bin" "$WORK/module"
cd "$WORK/module"

cat > go.mod <<EOF
module denchi.test/influxd

go 1.25.10

require github.com/influxdata/influxdb/v2 $VERSION

replace github.com/nats-io/nats-streaming-server v0.11.2 => github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803

replace google.golang.org/protobuf v1.30.0 => google.golang.org/protobuf v1.33.0
EOF
cat > tools.go <<EOF
//go:build tools

package tools

import _ "github.com/influxdata/influxdb/v2/cmd/influxd/launcher"
EOF

RUSTUP_TOOLCHAIN=${RUSTUP_TOOLCHAIN:-$(rustup show active-toolchain 2>/dev/null | cut -d' ' -f1 || true)}
[ -n "$RUSTUP_TOOLCHAIN" ] && export RUSTUP_TOOLCHAIN || unset RUSTUP_TOOLCHAIN

# influxdata/pkg-config must be called pkg-config; it finds the real one behind itself on PATH.
GOBIN="$WORK/bin" go install "github.com/influxdata/pkg-config@$PKG_CONFIG_VERSION"
export PKG_CONFIG="$WORK/bin/pkg-config"

go mod tidy -e >tidy.log 2>&1 || true
go build -mod=mod -trimpath -ldflags "-s -w -X main.version=$VERSION" \
  -o "$WORK/influxd" github.com/influxdata/influxdb/v2/cmd/influxd
mkdir -p "$(dirname "$TARGET")"
cp "$WORK/influxd" "$TARGET.new" && mv "$TARGET.new" "$TARGET"
"$TARGET" version
