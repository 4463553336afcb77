"""What the containers may not do, as the engine and the kernel tell it."""

from typing import Any

import pytest
from tests.containers.composed import ROOT, Composed

pytestmark = pytest.mark.containers

SERVICES = sorted(folder.name for folder in (ROOT / "services").iterdir() if (folder / "pyproject.toml").exists())
EVERYTHING = sorted([*SERVICES, "nats"])
SECLUDED = [service for service in SERVICES if service not in {"edge", "signaling"}]
SHARED_SECRETS = {"signaling": ["turn"]}
STATUS = 'for file in /proc/[0-9]*/status; do while read -r line; do echo "$line"; done <$file; done'
"""For a shell without any program beside it; the lines of all processes of the container."""
UNPRIVILEGED = {
    "CapEff": ("0" * 16,),
    "CapPrm": ("0" * 16,),
    "CapBnd": ("0" * 16,),
    "NoNewPrivs": ("1",),
    "Seccomp": ("2",),
}
CONNECT = "import socket; socket.create_connection(('192.0.2.1', 443), 3)"
MEBIBYTE = 1024 * 1024

each_container = pytest.mark.parametrize("service", EVERYTHING)
each_service = pytest.mark.parametrize("service", SERVICES)


def inspected(composed: Composed, service: str) -> Any:
    """The first container of a service."""
    return composed.containers(service)[0]


def test_every_service_is_composed(composed: Composed) -> None:
    """What stands in services/ is in compose.yaml, and without a TURN server nothing else but the bus."""
    assert EVERYTHING == sorted(composed.services())


@each_container
def test_processes_have_no_privileges(composed: Composed, service: str) -> None:
    """No process is root, has or can get a capability, or makes system calls that are filtered."""
    lines = {tuple(line.split()) for line in composed.shell(service, STATUS).splitlines()}
    wanted = {"Uid": (composed.user(service),) * 4, **UNPRIVILEGED}
    found = {name: {words[1:] for words in lines if words[:1] == (f"{name}:",)} for name in wanted}

    assert {name: {words} for name, words in wanted.items()} == found
    assert int(composed.user(service)) > 0


@each_container
def test_the_engine_holds_it_in_bounds(composed: Composed, service: str) -> None:
    """Root is read-only; memory, processes and logs are limited; it is started again when it dies."""
    host = inspected(composed, service)["HostConfig"]

    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert ["ALL"] == host["CapDrop"]
    assert 0 < host["Memory"] <= 1024 * MEBIBYTE
    assert 0 < host["PidsLimit"] <= 128
    assert ("json-file", {"max-size": "10m", "max-file": "3"}) == tuple(host["LogConfig"].values())
    assert "unless-stopped" == host["RestartPolicy"]["Name"]


@each_service
def test_root_cannot_be_written(composed: Composed, service: str) -> None:
    """Only /tmp takes a file."""
    script = "touch /tmp/x && ! touch /x /opt/venv/x /etc/x 2>/dev/null && echo refused"

    assert "refused\n" == composed.shell(service, script)


@each_service
def test_secrets_are_its_own_and_for_it_alone(composed: Composed, service: str) -> None:
    """A service sees its own seeds and no other, which only its user may read, and which no variable holds."""
    listed = composed.shell(service, "cd /run/secrets && stat -c '%n %a %u' *").splitlines()
    seeds = composed.shell(service, "cat /run/secrets/*").split()
    description = str(composed.containers(service))

    assert {service, *SHARED_SECRETS.get(service, [])} == {line.partition(".")[0].partition("-")[0] for line in listed}
    assert {f"400 {composed.user(service)}"} == {line.partition(" ")[2] for line in listed}
    assert [] == [seed for seed in seeds if seed in description]


@pytest.mark.parametrize("service", SECLUDED)
def test_there_is_no_way_out(composed: Composed, service: str) -> None:
    """Who need not be reached from outside cannot reach the outside either, and publishes no port."""
    found = inspected(composed, service)
    networks = composed.internal(found["NetworkSettings"]["Networks"])
    outcome = composed.shell(service, f'python3 -c "{CONNECT}" 2>&1 || true').splitlines()[-1]

    assert [True] == networks
    assert not found["HostConfig"]["PortBindings"]
    assert "unreachable" in outcome or "timed out" in outcome


@pytest.mark.parametrize("service", ["edge", "nats"])
def test_ports_are_this_machine_s(composed: Composed, service: str) -> None:
    """Without TLS in front nothing is published to other machines."""
    bindings = inspected(composed, service)["HostConfig"]["PortBindings"]

    assert {"127.0.0.1"} == {binding["HostIp"] for ports in bindings.values() for binding in ports}
