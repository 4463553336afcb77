"""Where channels, mail and the mesh meet: it tells the mesh of every channel, and keeps its words from mail."""

from collections.abc import Callable
from typing import Protocol

from aiconexus.protocol.direct_errors import ChannelClosed
from aiconexus.protocol.errors import EnvelopeError
from aiconexus.protocol.frames import Admit, Costs, Exchanges, Hop, Meet, Word, read_word, write_word
from aiconexus.sdk.direct.mail import Mail
from aiconexus.sdk.direct.seam import Pipe

BEGINNINGS = ('["hop"', '["mesh')


class Listener(Protocol):
    """The mesh, as far as channels matter."""

    name: str

    def is_member(self, did: str) -> bool:
        """Whether an agent may be one of ours."""

    def note_open(self, did: str) -> None:
        """There is a channel with a member."""

    def note_met(self, did: str) -> None:
        """It hands on what is for others."""

    def note_shut(self, did: str) -> None:
        """The channel with a member is silent or over."""

    def take_hop(self, hop: Hop) -> None:
        """A neighbour has handed us a frame."""

    def take_word(self, did: str, word: Word) -> None:
        """A member said something about the mesh."""


class Junction:
    """
    What peers take for mail.

    Args:
        mail: The real one.
        listener: The mesh.
        on_refused: Told of what a member sent that is no word.

    """

    def __init__(self, mail: Mail, listener: Listener, on_refused: Callable[[str, Exception], None]) -> None:
        self.mail = mail
        self.channels: dict[str, Pipe] = {}
        self.neighbours: dict[str, Pipe] = {}
        self._listener = listener
        self._on_refused = on_refused

    def attach(self, pipe: Pipe) -> None:
        """A channel may be used."""
        self.mail.attach(pipe)
        if self._listener.is_member(pipe.did):
            former = self.channels.get(pipe.did)
            self.channels[pipe.did] = pipe
            if pipe.did in self.neighbours:
                self.neighbours[pipe.did] = pipe
            self._listener.note_open(pipe.did)
            if former is not pipe:
                self.meet(pipe)

    def detach(self, did: str, session: str) -> None:
        """A channel must not be used any more."""
        pipe = self.channels.get(did)
        if pipe is not None and pipe.session == session:
            del self.channels[did]
            self.neighbours.pop(did, None)
            self._listener.note_shut(did)
        self.mail.detach(did, session)

    def frame(self, pipe: Pipe, data: bytes | str) -> bool:
        """Take what arrived; returns whether it was meant for mail or the mesh."""
        if isinstance(data, bytes) or not data.startswith(BEGINNINGS) or not self._listener.is_member(pipe.did):
            return self.mail.frame(pipe, data)
        try:
            word = read_word(data)
        except EnvelopeError as error:
            self._on_refused(pipe.did, error)
            return True
        self._hear(pipe, word)
        return True

    async def drained(self, did: str, session: str, timeout_seconds: float) -> None:
        """Wait, not too long, until all that this channel carried is acknowledged."""
        await self.mail.drained(did, session, timeout_seconds)

    def meet(self, pipe: Pipe, *, answer: bool = False) -> None:
        """Say that we hand on."""
        self.say(pipe, Meet(self._listener.name, answer))

    def say(self, pipe: Pipe, word: Word) -> None:
        """Say a word, if somebody is there to hear it."""
        try:
            pipe.send(write_word(word))
        except ChannelClosed:
            # Its end is told to us by ``detach``.
            return

    def _hear(self, pipe: Pipe, word: Word) -> None:
        match word:
            case Hop():
                self._listener.take_hop(word)
            case Meet(mesh=name, answer=is_answer):
                if name == self._listener.name:
                    self._note_met(pipe)
                    if not is_answer:
                        self.meet(pipe, answer=True)
            case Costs() | Exchanges() | Admit():
                self._listener.take_word(pipe.did, word)

    def _note_met(self, pipe: Pipe) -> None:
        if self.channels.get(pipe.did) is pipe and pipe.did not in self.neighbours:
            self.neighbours[pipe.did] = pipe
            self._listener.note_met(pipe.did)
