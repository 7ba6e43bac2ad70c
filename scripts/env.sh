# Sourced by the scripts beside it: where things are, how to say what is done, which tools to use.
# shellcheck shell=bash disable=SC2034 # most names are used by the scripts
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TOOLS="$ROOT/.toolchain"
LOGS="$TOOLS/log"

WORKER_BUILD_VERSION=0.8.7
# As in Cargo.lock: the library and the command line tool must be of one version.
WASM_BINDGEN_VERSION="$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;q;}' "$ROOT/Cargo.lock")"
# rust-version of Cargo.toml.
RUST_MINOR="$(sed -n 's/^rust-version = "1\.\([0-9]*\).*"$/\1/p' "$ROOT/Cargo.toml")"
NODE_MIN=22.13

if [ -t 2 ]; then PREFIX=$'\033[2mvarde:\033[0m '; else PREFIX='varde: '; fi
say() { printf '%s%s\n' "$PREFIX" "$*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# step NAME TEXT COMMAND…: runs the command with its output in a log, says how long it took, and shows why
# when it fails.
step() {
  local name="$1" text="$2" started=$SECONDS
  shift 2
  mkdir -p "$LOGS"
  say "$text …"
  if "$@" >"$LOGS/$name.log" 2>&1 </dev/null; then
    say "$text: done in $((SECONDS - started)) s"
  else
    # A compiler's first complaint says most; anything else ends with its reason.
    if grep -q '^error' "$LOGS/$name.log"; then
      sed -n '/^error/,$p' "$LOGS/$name.log" | head -n 60 >&2 || true
    else
      tail -n 40 "$LOGS/$name.log" >&2
    fi
    say "$text: failed after $((SECONDS - started)) s; the whole log is .toolchain/log/$name.log"
    return 1
  fi
}

# fingerprint PATH…: a checksum of the names and contents of files and folders.
fingerprint() {
  find "$@" -type f -not -path '*/target/*' -print0 2>/dev/null | LC_ALL=C sort -z | xargs -0 cksum | cksum | cut -d' ' -f1
}

# rust_minor RUSTC: 95 for rustc 1.95.0; 0 when it doesn't run.
rust_minor() {
  local minor
  minor="$("$1" --version 2>/dev/null | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p')" || true
  printf '%s' "${minor:-0}"
}

node_is_new_enough() {
  has node && node -e "
    const [major, minor] = process.versions.node.split('.').map(Number);
    const [wantMajor, wantMinor] = '$NODE_MIN'.split('.').map(Number);
    process.exit(major > wantMajor || (major === wantMajor && minor >= wantMinor) ? 0 : 1);" 2>/dev/null
}

# Puts the Node packages' commands on PATH; among them, on Linux, a Node that wrangler can run on.
use_node() {
  PATH="$ROOT/node_modules/.bin:$PATH"
  export PATH
  node_is_new_enough || fail "Node $NODE_MIN or newer is needed, this one is $(node --version 2>/dev/null || echo missing)"
  # wrangler asks and tells nobody, keeps its own records inside the project, and records no traces.
  export WRANGLER_SEND_METRICS=false WRANGLER_HIDE_BANNER=true CLOUDFLARE_CF_FETCH_ENABLED=false
  export WRANGLER_LOG_PATH="$ROOT/.varde/log" WRANGLER_REGISTRY_PATH="$ROOT/.varde/registry"
  export X_LOCAL_OBSERVABILITY=false
}

# Puts the cargo on PATH that tests and installs tools: the user's own, or Debian's where there is none.
use_native_cargo() {
  if [ "$(rust_minor rustc)" -lt "$RUST_MINOR" ] && [ "$(rust_minor /usr/bin/rustc)" -ge "$RUST_MINOR" ]; then
    PATH="/usr/bin:$PATH"
    export PATH
  fi
}

# The toolchain that setup has chosen for the wasm build: "rustup" or "packages".
wasm_toolchain() { cat "$TOOLS/wasm-toolchain" 2>/dev/null || true; }

# Sets what worker-build needs to find its tools, for the rest of the calling script.
use_wasm_toolchain() {
  case "$(wasm_toolchain)" in
    rustup) export RUSTUP_TOOLCHAIN=nightly ;;
    packages)
      PATH="$ROOT/scripts/stand-ins:$PATH"
      export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
      ;;
    *) fail "no toolchain was chosen yet; run scripts/setup" ;;
  esac
  PATH="$TOOLS/bin:$PATH"
  export PATH
  # Apart from the native builds, whose compiler is another one: they would undo each other's work.
  CARGO_TARGET_DIR="$ROOT/target-wasm-$(wasm_toolchain)"
  export CARGO_TARGET_DIR
  export WASM_BINDGEN_BIN="$TOOLS/bin/wasm-bindgen"
  export WASM_OPT_BIN="$ROOT/node_modules/.bin/wasm-opt"
  export ESBUILD_BIN="$ROOT/node_modules/.bin/esbuild"
}

# optimise_wasm FILE OPTION…: in place, with all names taken out.
optimise_wasm() { transform_wasm "$@" --strip-debug --strip-producers; }

# transform_wasm FILE OPTION…: in place. The features are those that the compiler uses.
transform_wasm() {
  local file="$1"
  shift
  "$WASM_OPT_BIN" "$@" --enable-bulk-memory --enable-mutable-globals --enable-nontrapping-float-to-int \
    --enable-sign-ext --enable-reference-types --enable-multivalue --enable-exception-handling \
    "$file" -o "$file.optimised"
  mv "$file.optimised" "$file"
}
