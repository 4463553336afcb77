"""What the audience sees of a run while it goes on."""

import time
from collections import Counter, deque

import msgspec

from aiconexus.cli.demo.hostile import Try
from aiconexus.cli.demo.notes import ENDS, Event, Note

NEWS_MAX = 8


class Member:
    """One agent, as its own notes and the platform's presence show it."""

    def __init__(self, name: str, did: str, road: str) -> None:
        self.name = name
        self.did = did
        self.road = road
        self.is_here = False
        self.counts: Counter[Event] = Counter()


class News(msgspec.Struct, frozen=True):
    """One thing that happened, for reading."""

    seconds: float
    who: str
    what: str


class Tally:
    """
    The sum of all notes so far.

    Args:
        members: Who plays.

    """

    def __init__(self, members: list[Member]) -> None:
        self.members = {member.name: member for member in members}
        self.news: deque[News] = deque(maxlen=NEWS_MAX)
        self.flows: Counter[tuple[str, str, str]] = Counter()
        self.tries: list[Try] = []
        self.pieces = 0
        self.results = 0
        self.figures: dict[str, int] | None = None
        self.relay = "starting"
        self._began = time.monotonic()
        self._names = {member.did: member.name for member in members}
        self._open: set[str] = set()
        self._ended: set[str] = set()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    @property
    def open_count(self) -> int:
        """Envelopes that were accepted and have not come to an end."""
        return len(self._open)

    def sum_of(self, event: Event) -> int:
        """Over all agents."""
        return sum(member.counts[event] for member in self.members.values())

    def say(self, who: str, what: str) -> None:
        """Put something into the news."""
        self.news.append(News(self.seconds, who, what))

    def note_presence(self, did: str, *, is_here: bool) -> None:
        """What the platform says of who is here."""
        name = self._names.get(did)
        if name is not None and self.members[name].is_here != is_here:
            self.members[name].is_here = is_here
            self.say(name, f"is here, on {self.members[name].road}" if is_here else "is away")

    def note_tries(self, tries: list[Try]) -> None:
        """What an intruder tried on one road, and what it met."""
        self.tries += tries
        refused = sum(found.is_refused for found in tries)
        self.say("intruder", f"comes over {tries[0].road}: {refused} of {len(tries)} tries refused")

    def take(self, name: str, note: Note) -> None:
        """A note of an agent."""
        self.members[name].counts[note.event] += 1
        match note.event:
            case Event.STORED if note.id not in self._ended:
                self._open.add(note.id)
            case Event.HANDLED:
                self.flows[self._names.get(note.peer, "somebody"), name, note.text] += 1
            case Event.RESULT:
                self.results += 1
            case Event.DONE:
                self.figures = dict(note.figures)
            case Event.ERROR:
                self.say(name, note.text)
        if note.event in ENDS:
            self._open.discard(note.id)
            self._ended.add(note.id)
        if note.event in (Event.EXPIRED, Event.DEAD):
            self.say(name, f"learns that a letter to {self._names.get(note.peer, 'somebody')} {_ended(note)}")


def _ended(note: Note) -> str:
    return "expired" if note.event is Event.EXPIRED else f"died: {note.text}"
