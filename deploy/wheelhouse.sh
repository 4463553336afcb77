#!/bin/bash
# deploy/wheelhouse.sh [PYTHON_VERSION] -- fetch the wheels that the service images are built from,
# for builds that cannot reach a package index themselves (no network, or a proxy whose
# certificate only the host trusts).
#
# Fills deploy/wheelhouse/, which deploy/Dockerfile then uses instead of an index, with uv and what
# the services need, as pinned by hash in requirements.lock. `deploy/wheelhouse.sh --empty` goes
# back to building online. Needs `uv` (./dev brings one).
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
wheelhouse=deploy/wheelhouse

empty() { rm -f "$wheelhouse"/*.whl "$wheelhouse/stamp"; }

if [ "${1:-}" = --empty ]; then
  empty
  exit
fi

python="${1:-3.13}"
want="$(cat requirements.lock pyproject.toml ./*/*/pyproject.toml | cksum) $python $(uname -m)"
if [ "$want" = "$(cat "$wheelhouse/stamp" 2>/dev/null)" ]; then
  echo "wheelhouse: up to date" >&2
  exit
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
uv pip compile -q -o "$work/services.txt" -c requirements.lock --python-version "$python" \
  services/*/pyproject.toml
sed -n '/^uv==/,/[^\\]$/p' requirements.lock >"$work/uv.txt"
platforms=()
for manylinux in manylinux2014 manylinux_2_17 manylinux_2_28; do
  platforms+=(--platform "${manylinux}_$(uname -m)")
done
empty
uv tool run -q pip download -qq --only-binary :all: --no-deps --require-hashes \
  -r "$work/services.txt" -r "$work/uv.txt" -d "$wheelhouse" \
  --python-version "$python" --implementation cp \
  --abi "cp${python/./}" --abi abi3 --abi none "${platforms[@]}"
echo "$want" >"$wheelhouse/stamp"
echo "wheelhouse: $(find "$wheelhouse" -name '*.whl' | wc -l) wheels for Python $python (${SECONDS}s)" >&2
