import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiconexus.bus.ownership import SERVICES
from aiconexus.cli.home import Home
from aiconexus.sdk import Agent, Identity

PROGRAM = (sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())")
STRANGER = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"


def aiconexus(*words: str | bytes, home: Path | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    environment = {**os.environ, **({"AICONEXUS_HOME": str(home)} if home else {})}
    return subprocess.run(
        [*PROGRAM, *words], env=environment, input=text, capture_output=True, text=True, timeout=60, check=False
    )


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON of a command that succeeded."""
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a platform runs."""
    home = tmp_path_factory.mktemp("home")
    words = ("up", "--home", str(home), "--port", "0", "--nats-port", "0")
    with subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, text=True) as up:
        assert up.stdout is not None
        assert any("AIConexus is up." in line for line in up.stdout)
        yield home
        up.terminate()
        up.communicate(timeout=60)


@pytest.fixture(scope="module")
def worker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DID of an agent that is here and can count words, on a WebSocket."""
    key = tmp_path_factory.mktemp("worker") / "worker.key"
    did = Identity.create(key).did
    url = json.loads((home / "endpoints.json").read_text())["ws"]
    program = (
        "import asyncio, sys\n"
        "from aiconexus.sdk import Agent, Identity\n"
        "def words(args):\n"
        "    if 'curse' in args:\n"
        "        raise ValueError(args['curse'])\n"
        "    return len(args['text'].split())\n"
        "async def main():\n"
        "    agent = Agent(Identity.load(sys.argv[1]), sys.argv[2], name='worker')\n"
        "    agent.capability('words')(words)\n"
        "    agent.on('MESSAGE')(print)\n"
        "    async with agent:\n"
        "        print('here', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(key), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "here\n" == process.stdout.readline()
        yield did
        process.kill()


def test_a_worker_is_found_and_called(home: Path, worker: str) -> None:
    """A capability is found by its name, called by whoever runs the command, and answers a program in JSON."""
    found = printed(aiconexus("agents", "--capability", "words", "--online", "--json", home=home))
    called = aiconexus("call", "--capability", "words", "text=one two three", home=home)
    named = aiconexus("call", worker, "--capability", "words", "--args", '{"text": "one two"}', "--json", home=home)

    assert [(worker, "worker", True, "edge")] == [
        (card["did"], card["name"], card["online"], card["road"]) for card in found
    ]
    assert (0, "3\n", "") == (called.returncode, called.stdout, called.stderr)
    assert 2 == printed(named)


def test_agents_are_shown_to_people(home: Path, worker: str) -> None:
    """The list holds whole DIDs, to be copied, and what they can."""
    shown = aiconexus("agents", home=home)

    assert f"{worker}  edge     worker            words" in shown.stdout.splitlines()


def test_a_message_is_sent_and_processed(home: Path, worker: str) -> None:
    """A message from standard input is stored and, if asked for, processed before the command ends."""
    sent = printed(aiconexus("send", worker, "--file", "-", "--processed", "--json", home=home, text="hello"))

    assert (True, True) == (sent["processed"], sent["sequence"] > 0)


def test_what_was_sent_is_heard(home: Path, tmp_path: Path) -> None:
    """A message waits for its recipient, and is printed with its sender when they listen."""
    key = tmp_path / "me.key"
    me = json.loads(aiconexus("keygen", "--out", str(key), "--json").stdout)["did"]
    known = aiconexus("agents", "--identity", str(key), home=home)
    sent = aiconexus("send", me, "Grüße\x1b[2J", home=home)
    heard = aiconexus("listen", "--identity", str(key), "--count", "1", home=home)
    me_too = Identity.load(Home(home).agents / "cli.key").did

    assert (0, 0, 0) == (known.returncode, sent.returncode, heard.returncode)
    assert f"{me_too}: Grüße\N{REPLACEMENT CHARACTER}[2J\n" == heard.stdout


def test_another_agents_words_do_not_pass_for_ours(home: Path, worker: str, tmp_path: Path) -> None:
    """Neither a failure that it reports nor a message steers the terminal or forges a line."""
    curse = "curse=\x1b[31mred\naiconexus: all is well"
    failed = aiconexus("call", worker, "--capability", "words", curse, home=home)
    key = tmp_path / "me.key"
    me = Identity.create(key).did
    aiconexus("agents", "--identity", str(key), home=home)
    aiconexus("send", me, f"hello\n{STRANGER}: pay me", home=home)
    heard = aiconexus("listen", "--identity", str(key), "--count", "1", home=home)

    assert 4 == failed.returncode
    assert (
        "\N{REPLACEMENT CHARACTER}[31mred\n    aiconexus: all is well\n" == failed.stderr.partition("ValueError: ")[2]
    )
    assert f"hello\n    {STRANGER}: pay me\n" == heard.stdout.partition(": ")[2]


def test_mail_is_left_alone_by_commands_that_only_send(home: Path, tmp_path: Path) -> None:
    """Sending with a key does not use up what waits for it."""
    key = tmp_path / "me.key"
    me = Identity.create(key).did
    aiconexus("agents", "--identity", str(key), home=home)
    aiconexus("send", me, "first", home=home)
    aiconexus("agents", "--identity", str(key), home=home)
    heard = aiconexus("listen", "--identity", str(key), "--count", "1", "--json", home=home)

    assert "first" == json.loads(heard.stdout)["body"]["content"]


def test_the_status_tells_of_every_part(home: Path) -> None:
    """Everything that runs is named with its health."""
    found = printed(aiconexus("status", "--json", home=home))
    shown = aiconexus("status", home=home)

    assert {"nats", *SERVICES} == {service["name"] for service in found["services"]}
    assert {"healthy"} == {service["status"] for service in found["services"]}
    assert found["platform"] in shown.stdout
    assert "MAILBOX" in shown.stdout


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        pytest.param(("send", "did:key:nobody", "x"), 2, "is not an Ed25519 did:key", id="no DID"),
        pytest.param(("send", STRANGER), 2, "say a text or name a --file", id="nothing to say"),
        pytest.param(("send", STRANGER, "x"), 4, "unknown_agent", id="nobody"),
        pytest.param(("call", "--capability", "fly"), 4, "nobody who is here can do 'fly'", id="nobody can"),
        pytest.param(("call", STRANGER, "--capability", "fly", "oops"), 2, "key=value, not 'oops'", id="no argument"),
        pytest.param(("call", "--args", "[]", "--capability", "fly"), 2, "one JSON object", id="no object"),
        pytest.param(("call",), 2, "name an agent's DID or a --capability", id="nothing to do"),
        pytest.param(("agents", "--url", "example.org"), 2, "no address like", id="no address"),
        pytest.param(("agents", "--url", "nats://"), 2, "no NATS URL: nats://", id="no server"),
        pytest.param(("agents", "--url", "ws://[::1"), 2, "no WebSocket URL: ws://[::1", id="no edge"),
        pytest.param(("send", STRANGER, b"\xff"), 2, "the text is not UTF-8", id="no UTF-8"),
        pytest.param(("agents", "--capability", "a b"), 2, "a capability is", id="no capability"),
        pytest.param(("call", "--capability", "a b"), 2, "a capability is", id="no capability to call"),
        pytest.param(("agents", "--identity", "/nowhere.key"), 2, "key file /nowhere.key", id="no key"),
        pytest.param(("init", "--home", "/dev/null/x"), 1, "/dev/null", id="no folder"),
        pytest.param(("up", "--scale", "relay=none"), 2, "--scale wants SERVICE=1..16", id="no number"),
        pytest.param(("demo", "--folder", "/dev"), 2, "no text files in /dev", id="no texts"),
        pytest.param(("init", "--listen", "4222"), 2, "--listen wants HOST:PORT", id="no port"),
    ],
)
def test_a_mistake_is_one_sentence(home: Path, words: tuple[str | bytes, ...], status: int, sentence: str) -> None:
    """What went wrong is said in a sentence without a traceback, and the exit status tells the kind."""
    done = aiconexus(*words, home=home)

    assert (status, "") == (done.returncode, done.stdout)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_slow_recipient_is_a_time_out(home: Path, tmp_path: Path) -> None:
    """Waiting for somebody who is not here ends with the status for time-outs."""
    key = tmp_path / "away.key"
    away = Identity.create(key).did
    aiconexus("agents", "--identity", str(key), home=home)
    done = aiconexus("send", away, "x", "--processed", "--timeout", "0.5", home=home)

    assert 5 == done.returncode


@pytest.mark.parametrize("url", ["nats://127.0.0.1:1", "ws://127.0.0.1:1/ws"])
def test_no_platform_there_is_its_own_status(tmp_path: Path, url: str) -> None:
    """A script can tell a platform that is away from one that refuses."""
    done = aiconexus("agents", "--url", url, home=tmp_path)

    assert (3, "") == (done.returncode, done.stdout)
    assert "the platform does not answer" in done.stderr


def test_a_void_key_is_told_apart_from_a_platform_that_is_away(home: Path, tmp_path: Path) -> None:
    """Whoever speaks with a key that was revoked learns that the login failed, and with which key."""
    key = tmp_path / "void.key"
    identity = Identity.create(key)
    url = json.loads((home / "endpoints.json").read_text())["ws"]

    async def revoke() -> None:
        agent = Agent(identity, url, state=":memory:")
        await agent.start()
        await agent.wait_online(10)
        await agent.revoke("lost")

    asyncio.run(revoke())
    native = aiconexus("agents", "--identity", str(key), home=home)
    edge = aiconexus("agents", "--identity", str(key), "--url", url, home=home)

    assert (4, 4) == (native.returncode, edge.returncode)
    assert f"does not let this key in: it was revoked, or identity is away ({key})" in native.stderr
    assert "key_revoked" in edge.stderr


def test_init_prepares_a_home_twice(tmp_path: Path) -> None:
    """The files for other supervisors are written, and keys stay the same when they are written again."""
    first = aiconexus("init", home=tmp_path)
    seeds = {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    second = aiconexus("init", "--listen", "0.0.0.0:5222", "--store", "/elsewhere", "--sync", home=tmp_path)
    config = (tmp_path / "nats.conf").read_text()

    assert (0, 0, first.stdout) == (first.returncode, second.returncode, second.stdout)
    assert seeds == {file.name: file.read_text() for file in (tmp_path / "secrets").iterdir()}
    assert 'listen: "0.0.0.0:5222"' in config
    assert '"store_dir": "/elsewhere"' in config
    assert '"sync_interval": "always"' in config


def test_init_tells_compose_of_a_turn_server(tmp_path: Path) -> None:
    """Whoever says where agents reach it gets one of his own, over TLS as well once there is a certificate."""
    first = aiconexus("init", "--turn", "turn.example.org", home=tmp_path)
    settings = dict(line.split("=", 1) for line in (tmp_path / "compose.env").read_text().splitlines())
    (tmp_path / "turn" / "cert.pem").touch()
    second = aiconexus("init", "--turn", "192.0.2.7:80", home=tmp_path)
    secured = dict(line.split("=", 1) for line in (tmp_path / "compose.env").read_text().splitlines())

    assert (0, 0) == (first.returncode, second.returncode)
    assert ("turn", "turn.example.org", "3478") == (
        settings["COMPOSE_PROFILES"],
        settings["AICONEXUS_TURN_HOST"],
        settings["AICONEXUS_TURN_PORT"],
    )
    assert (
        "turn:turn.example.org:3478?transport=udp,turn:turn.example.org:3478?transport=tcp"
        == (settings["AICONEXUS_TURN_URLS"])
    )
    assert secured["AICONEXUS_TURN_URLS"].endswith(",turns:192.0.2.7:5349?transport=tcp")
    assert "stun:192.0.2.7:80" == secured["AICONEXUS_STUN_URLS"]


def test_a_key_is_not_overwritten(tmp_path: Path) -> None:
    """A second key with the same name is refused."""
    key = str(tmp_path / "a.key")
    first = aiconexus("keygen", "--out", key)
    second = aiconexus("keygen", "--out", key)

    assert (0, True) == (first.returncode, first.stdout.startswith("did:key:z6Mk"))
    assert (2, "") == (second.returncode, second.stdout)
