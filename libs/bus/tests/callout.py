import os
import time
from pathlib import Path

from aiconexus.bus.accounts import ServerPlan, render_server_config
from aiconexus.bus.claims import (
    CurveKey,
    LoginRequest,
    account_text,
    check_login,
    login_answer,
    read_login_request,
    user_jwt,
)
from aiconexus.bus.nkeys import user_nkey
from aiconexus.bus.ownership import SERVICES
from aiconexus.bus.session import Incoming, Session
from aiconexus.protocol import subjects
from aiconexus.protocol.keys import SigningKey


class Callout:
    """A responder of logins at a real server."""

    def __init__(self) -> None:
        self.users = {name: SigningKey(os.urandom(32)) for name in (*SERVICES, "auth", "system")}
        self.issuer = SigningKey(os.urandom(32))
        self.curve = CurveKey(os.urandom(32))
        self.banned: set[str] = set()

    def config(self, store: Path) -> str:
        """Of the server."""
        nkeys = {name: user_nkey(key.public_key) for name, key in self.users.items()}
        plan = ServerPlan(
            port=-1,
            store_dir=str(store),
            services={name: nkeys[name] for name in SERVICES},
            auth=nkeys["auth"],
            system=nkeys["system"],
            issuer=account_text(self.issuer),
            xkey=self.curve.public,
        )
        return render_server_config(plan)

    async def answer(self, incoming: Incoming) -> None:
        """Let everybody in who proves their key and is not banned."""
        xkey = (incoming.headers or {})["Nats-Server-Xkey"]
        asked = read_login_request(self.curve.open(incoming.data, xkey), time.time())
        reply = login_answer(self.issuer, asked, now_seconds=time.time(), **self.decision(asked))
        await self.session.publish(incoming.reply, self.curve.seal(reply, xkey))

    def decision(self, asked: LoginRequest) -> dict[str, str]:
        """A JWT, or why there is none."""
        did = check_login(asked)
        if did in self.banned:
            return {"error": "banned"}
        own = did.removeprefix("did:key:")
        jwt = user_jwt(
            self.issuer,
            asked,
            name=did,
            account="AGENTS",
            publish=[subjects.sends_of(own)],
            subscribe=[subjects.inbox_of(own), subjects.all_presence()],
            now_seconds=time.time(),
        )
        return {"jwt": jwt}

    async def open(self, url: str) -> None:
        """Answer from now on."""
        self.session = await Session.connect([url], self.users["auth"], name="auth", inbox_prefix="_INBOX.identity")
        await self.session.subscribe(subjects.login_requests(), self.answer, queue="identity")
        await self.session.barrier()
