#!/usr/bin/env bash
# Builds Banken's image by the recipe of its Dockerfile and holds it against what is promised: static, below 20 MB, run by
# nobody in particular, names are resolved without a C library beside it, it is healthy in a container of its own, and ends when
# asked to. Prints the figures. The release build takes minutes.
#
# Needs root, Debian's docker.io and dnsmasq-base. Docker runs in namespaces of its own: nothing is left of it.
#
#   sudo tests/soak/image.sh [BINARY]      with a binary that deploy/static-build made before, nothing is built
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() { echo "FAILED: $*" >&2; exit 1; }

if [ "${1:-}" != inside ]; then
  work=$(mktemp -d)
  group=banken-image-$$
  trap 'rm -rf "$work"; for h in /sys/fs/cgroup /sys/fs/cgroup/*; do [ ! -d "$h/$group" ] || find "$h/$group" -depth -type d -exec rmdir {} +; done' EXIT
  if [ $# -gt 0 ]; then
    mkdir -p "$work/out/state" && cp "$1" "$work/out/banken"
  else
    SECONDS=0
    deploy/static-build "$work/out"
    echo "built in $SECONDS s"
  fi
  unshare --mount --net --pid --fork --kill-child --mount-proc "$0" inside "$work" "$group"
  exit
fi

work=$2 group=$3
docker() {
  DOCKER_HOST="unix://$work/socket" DOCKER_CONFIG="$work" DOCKER_BUILDKIT=1 command "$(ls /usr/bin/docker 2>/dev/null || echo docker)" "$@"
}
until_true() {
  local what=$1 left=120
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "$what"
    sleep 0.5
  done
}

# The binary.
binary=$work/out/banken
if ldd "$binary" >/dev/null 2>&1 && ! ldd "$binary" | grep -q 'statically linked'; then fail "it is not static: $(ldd "$binary")"; fi
size=$(stat --format %s "$binary")
[ "$size" -lt 20000000 ] || fail "the binary has $size bytes"

# A Docker daemon.
mount -t tmpfs tmpfs /run
ip link set lo up
echo '{}' >"$work/daemon.json"
dockerd --config-file "$work/daemon.json" --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" \
  --host "unix://$work/socket" --bip 192.0.2.1/24 --cgroup-parent "/$group" >"$work/dockerd.log" 2>&1 &
until_true "no Docker daemon: $(tail -3 "$work/dockerd.log")" docker version

# The image: the last stage of the Dockerfile, on the binary.
tar -C "$work" -cf "$work/out.tar" out
docker import "$work/out.tar" banken-binary:test >/dev/null
docker build --quiet --build-arg BINARY=banken-binary:test --file deploy/Dockerfile --tag banken:test . >/dev/null
image=$(docker image inspect --format '{{.Size}}' banken:test)
[ "$image" -lt 20000000 ] || fail "the image has $image bytes"
files=$(docker export "$(docker create banken:test)" | tar -t | grep -vE '^(dev|etc|proc|sys|var)/|^\.dockerenv$' | tr '\n' ' ')
[ "$files" = 'banken ' ] || fail "there is more in the image than the binary: $files"
[ "$(docker image inspect --format '{{.Config.User}}' banken:test)" = 9810:9810 ] || fail "its user is somebody"

# Names: from /etc/hosts, from a server of DNS, from Docker's own server, and one that nobody knows.
dnsmasq --keep-in-foreground --no-daemon --conf-file=/dev/null --no-hosts --no-resolv --bind-interfaces \
  --listen-address=192.0.2.1 --address=/by-dns.test/192.0.2.1 --local=/test/ --pid-file= >"$work/dnsmasq.log" 2>&1 &
mkdir "$work/config"
cat >"$work/config/banken.yml" <<'YAML'
listen: 0.0.0.0:9810
host: false
probes:
  - { name: hosts, tcp: { address: 'by-hosts:53' } }
  - { name: dns, tcp: { address: 'by-dns.test:53' } }
  - { name: docker, tcp: { address: 'by-docker:53' } }
  - { name: nobody, tcp: { address: 'nobody.test:53' } }
YAML
chmod -R go+rX "$work/config"
options=(--read-only --cap-drop ALL --security-opt no-new-privileges --volume "$work/config:/etc/banken:ro" --dns 192.0.2.1)
docker network create own >/dev/null
for case in "hosts --add-host by-hosts:192.0.2.1" "dns" "docker --network own --add-host unused:192.0.2.9"; do
  set -- $case
  name=$1
  shift
  if [ "$name" = docker ]; then
    # One that is there to be found by its name; it listens on 9810.
    docker run --detach --name by-docker "${options[@]}" --network own banken:test >/dev/null
    sed -i 's/by-docker:53/by-docker:9810/' "$work/config/banken.yml"
    until_true "the other one is not there" docker exec by-docker /banken healthy
  fi
  said=$(docker run --rm "${options[@]}" "$@" banken:test probe "$name") || fail "$name: $said"
  grep -q 'result    success' <<<"$said" || fail "$name: $said"
done
said=$(docker run --rm "${options[@]}" banken:test probe nobody) && fail "nobody is known: $said"
grep -q 'reason    resolve' <<<"$said" || fail "nobody: $said"

# Its own health check, and its end.
started=$(date +%s%N)
docker run --detach --name alone "${options[@]}" --add-host by-hosts:192.0.2.1 banken:test >/dev/null
until_true "it does not become healthy" sh -c \
  "DOCKER_HOST=unix://$work/socket DOCKER_CONFIG=$work docker inspect --format '{{.State.Health.Status}}' alone | grep -qx healthy"
healthy=$((($(date +%s%N) - started) / 1000000))
docker stop --time 10 alone >/dev/null
code=$(docker inspect --format '{{.State.ExitCode}}' alone)
[ "$code" = 0 ] || fail "it ends with $code"

echo "static, $size bytes; image $image bytes with the binary alone; names from /etc/hosts, DNS and Docker are resolved;"
echo "healthy after $healthy ms (Docker asks for the first time after 10 s); ends with 0"
