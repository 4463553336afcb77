import os
import time
from pathlib import Path

from aiconexus.bus.claims import CurveKey, LoginRequest, check_login, login_answer, read_login_request, user_jwt
from aiconexus.bus.session import Incoming, Session
from aiconexus.bus.testing import SERVER_KEYS, config_with_accounts, new_key
from aiconexus.protocol import subjects


class Callout:
    """A responder of logins at a real server."""

    def __init__(self) -> None:
        self.users = {name: new_key() for name in SERVER_KEYS}
        self.curve = CurveKey(os.urandom(32))
        self.banned: set[str] = set()

    def config(self, store: Path) -> str:
        """Of the server."""
        return config_with_accounts(self.users, self.curve.public, store)

    async def answer(self, incoming: Incoming) -> None:
        """Let everybody in who proves their key and is not banned."""
        xkey = (incoming.headers or {})["Nats-Server-Xkey"]
        asked = read_login_request(self.curve.open(incoming.data, xkey), time.time())
        reply = login_answer(self.users["issuer"], asked, now_seconds=time.time(), **self.decision(asked))
        await self.session.publish(incoming.reply, self.curve.seal(reply, xkey))

    def decision(self, asked: LoginRequest) -> dict[str, str]:
        """A JWT, or why there is none."""
        did = check_login(asked)
        if did in self.banned:
            return {"error": "banned"}
        own = did.removeprefix("did:key:")
        jwt = user_jwt(
            self.users["issuer"],
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
