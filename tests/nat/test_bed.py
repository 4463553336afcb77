"""The bed itself: a NAT does what its name says, and what is broken is broken, or no other test here means anything."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from tests.nat import namespaces
from tests.nat.boxes import Block, Kind
from tests.nat.lab import OTHER, TURN, Lab
from tests.nat.site import BUS, PUBLIC_BRIDGE, ROOT, UDP_IN, UDP_OUT, Site, losing
from tests.nat.whoami import ADDRESS, ADDRESS_AND_PORT, INDEPENDENT, READY, Found

PYTHON = (sys.executable, "-c")
SEND = "import socket,sys;s=socket.socket(2,2);[s.sendto(b'nothing',(sys.argv[1],7000)) for _ in range({count})]"
ROUND_TRIP = (
    "import socket,sys,time;s=socket.socket(2,2);s.settimeout(5);t=time.monotonic();"
    "s.sendto(b'same',(sys.argv[1],7000));s.recv(99);print(time.monotonic()-t)"
)
CONNECT = "import socket,sys;socket.create_connection((sys.argv[1],int(sys.argv[2])),0.5)"
LISTEN = (
    "import socket,sys\n"
    "l=[socket.create_server((a,int(p))) for a,p in (x.split(':') for x in sys.argv[1:])]\n"
    "print('ready',flush=True)\n"
    "sys.stdin.read()\n"
)


@pytest.fixture(scope="module", autouse=True)
def host(lab: Lab) -> Iterator[None]:
    """Who answers on the public side: UDP that tells of NATs, and TCP on three ports."""
    listeners = (f"{BUS}:4222", f"{BUS}:443", f"{TURN}:443", f"{TURN}:3478")
    commands = (("-m", "tests.nat.whoami", "answer", BUS, OTHER), ("-c", LISTEN, *listeners))
    running = [
        subprocess.Popen(
            (*namespaces.entering(lab.public), sys.executable, *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for command in commands
    ]
    for process in running:
        assert process.stdout is not None
        assert READY == process.stdout.readline().strip()
    yield
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def site(lab: Lab) -> Site:
    """One NAT and what is behind it."""
    return lab.site()


@pytest.fixture(autouse=True)
def fresh(site: Site) -> None:
    """Each test finds it whole."""
    site.down()
    site.set(Kind.PORT, Block.NOTHING)


def found(site: Site) -> Found:
    """What somebody behind it finds."""
    command = (sys.executable, "-m", "tests.nat.whoami", "ask", BUS, OTHER)
    done = subprocess.run(
        (*namespaces.entering(site.inner), *command), capture_output=True, check=True, timeout=30, cwd=ROOT
    )
    return msgspec.json.decode(done.stdout, type=Found)


def reaches(site: Site, host: str, port: int) -> bool:
    """Whether somebody behind it can connect."""
    return not namespaces.inside(site.inner, *PYTHON, CONNECT, host, str(port), must=False)


@pytest.mark.parametrize(
    ("kind", "mapping", "filtering"),
    [
        (Kind.FULL_CONE, INDEPENDENT, INDEPENDENT),
        (Kind.ADDRESS, INDEPENDENT, ADDRESS),
        (Kind.PORT, INDEPENDENT, ADDRESS_AND_PORT),
        (Kind.SYMMETRIC, ADDRESS_AND_PORT, ADDRESS_AND_PORT),
    ],
)
def test_nat_does_what_its_name_says(site: Site, kind: Kind, mapping: str, filtering: str) -> None:
    """Mapping and filtering are those of the kind, as seen from behind it."""
    site.set(kind)

    assert Found(mapping, filtering) == found(site)


@pytest.mark.parametrize(
    ("block", "udp", "bus", "other"),
    [
        (Block.NOTHING, True, True, True),
        (Block.UDP, False, True, True),
        (Block.ALL_BUT_443, False, False, False),
        (Block.ALL_BUT_BUS, False, True, False),
    ],
)
def test_firewall_blocks_what_its_name_says(site: Site, block: Block, udp: bool, bus: bool, other: bool) -> None:
    """UDP, the bus on its own port and another host pass or do not; the bus on port 443 always does."""
    site.set(block=block)

    assert udp == bool(found(site).mapping)
    assert (bus, other) == (reaches(site, BUS, 4222), reaches(site, TURN, 3478))
    assert reaches(site, BUS, 443)
    assert (block is not Block.ALL_BUT_BUS) == reaches(site, TURN, 443)


def test_rebinding_gives_another_port(site: Site) -> None:
    """After a rebinding a flow comes from elsewhere."""
    code = (
        "import socket,sys;s=socket.socket(2,2);s.bind(('',5555));s.settimeout(5);"
        "s.sendto(b'same',(sys.argv[1],7000));print(s.recv(99).decode())"
    )
    before = namespaces.inside(site.inner, *PYTHON, code, BUS)
    site.rebind()

    assert before != namespaces.inside(site.inner, *PYTHON, code, BUS)


def test_delay_is_what_was_asked_for(site: Site) -> None:
    """A packet out and one back take twice the delay of one way."""
    site.delay(60)
    seconds = float(namespaces.inside(site.inner, *PYTHON, ROUND_TRIP, BUS))

    assert 0.12 <= seconds < 0.5


def test_loss_is_what_was_asked_for(site: Site) -> None:
    """Of a thousand packets about the share that was asked for is lost."""
    site.count_to(OTHER)
    site.fault(losing(0.3))
    namespaces.inside(site.inner, *PYTHON, SEND.format(count=1000), OTHER)
    attempted = site.packets_to(OTHER)
    lines = namespaces.inside(site.box, "iptables", "-nvxL", "FAULT").splitlines()

    assert 1000 == attempted
    assert 200 < int(lines[2].split()[0]) < 400


@pytest.mark.parametrize(("fault", "arrived"), [(UDP_OUT, 0), (UDP_IN, 1)])
def test_one_way_cuts_leave_the_other_way(site: Site, fault: str, arrived: int) -> None:
    """What is cut outwards does not arrive; what is cut inwards does, and only the answer is missing."""
    namespaces.inside(site.box, "iptables", "-A", "FORWARD", "-o", "wan", "-p", "udp", "-d", OTHER)
    site.fault(fault)
    namespaces.inside(site.inner, *PYTHON, ROUND_TRIP.replace("settimeout(5)", "settimeout(.2)"), OTHER, must=False)

    assert arrived == site.packets_to(OTHER)


def test_leftovers_of_a_crash_are_swept() -> None:
    """What a killed run left is gone when the next one takes its place, programs included."""
    code = (
        "import os,signal,subprocess\n"
        "from tests.nat.lab import Lab\n"
        "from tests.nat.namespaces import entering\n"
        "lab = Lab()\n"
        "lab.up()\n"
        "command = (*entering(lab.public), 'sleep', '600')\n"
        "child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "print(lab.public, child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    crashed = subprocess.run((*PYTHON, code), capture_output=True, text=True, cwd=ROOT, check=False, timeout=30)
    name, pid = crashed.stdout.split()

    assert -signal.SIGKILL == crashed.returncode
    assert [name] == namespaces.existing(name)
    with Lab() as lab:
        assert name == lab.public
        assert not namespaces._is_alive(int(pid))
    assert [] == namespaces.existing(name)


def test_newcomers_leave_the_others_their_way_out(lab: Lab, site: Site) -> None:
    """Whoever comes to the public network, with whatever MAC address, everybody there goes on being heard."""
    heard = []
    for number in (2, 1):
        namespaces.configure(
            lab.public,
            f"link add port{number} address 00:00:00:00:00:0{number} type veth peer name peer{number}",
            f"link set port{number} master {PUBLIC_BRIDGE} up",
        )
        heard.append(reaches(site, TURN, 3478))

    assert [True, True] == heard


def test_labs_stand_side_by_side(lab: Lab) -> None:
    """Two labs at a time have nothing in common."""
    with Lab() as other:
        assert lab.public != other.public
        assert os.geteuid() == 0
