"""Incidents are kept, told and reported, and none of it without bound."""

import asyncio
from pathlib import Path

import pytest

from aiconexus.protocol.errors import BusUnavailable
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.direct.incidents import DETAIL_CHARACTERS, REPORTS_MAX, Incidents
from aiconexus.sdk.incidentrows import KEPT_MAX, Checked, IncidentRows
from aiconexus.sdk.journal import MEMORY, Journal

KEY = SigningKey(bytes(range(32)))
ALICE, BOB = "did:key:zAlice", "did:key:zBob"


@pytest.fixture
def rows() -> IncidentRows:
    """An empty book."""
    return IncidentRows(Journal(MEMORY), KEY)


def crashed(error: BaseException) -> None:
    """Nothing here may crash."""
    raise error


class Listener:
    """The application and signaling."""

    def __init__(self) -> None:
        self.told: list[Incident] = []
        self.reported: list[Incident] = []
        self.refuses = False

    async def report(self, incident: Incident) -> None:
        """Be signaling."""
        self.reported.append(incident)
        if self.refuses:
            raise BusUnavailable(("signaling",), "it is away")


def incident(number: int, event: str = "glare", peer: str = ALICE) -> Incident:
    """One of many."""
    return Incident(event=event, peer=peer, session=str(number), at_ms=number)


def test_newest_come_first_and_filters_hold(rows: IncidentRows) -> None:
    """By event, by peer, since a time, and no more than asked for."""
    for number in range(10):
        rows.add(incident(number, ("glare", "key_rotated")[number % 2], (ALICE, BOB)[number // 5]))

    assert ["9", "8", "7"] == [each.session for each in rows.find(limit=3)]
    assert ["8", "6", "4", "2", "0"] == [each.session for each in rows.find(event="glare")]
    assert ["9", "7", "5"] == [each.session for each in rows.find(event="key_rotated", peer=BOB)]
    assert ["9", "8"] == [each.session for each in rows.find(since_ms=8)]


def test_oldest_are_forgotten(rows: IncidentRows) -> None:
    """However many there are, the book does not grow for ever."""
    for number in range(KEPT_MAX + 200):
        rows.add(incident(number))

    kept = rows.find(limit=2 * KEPT_MAX)
    assert KEPT_MAX <= len(kept) < KEPT_MAX + 200
    assert str(KEPT_MAX + 199) == kept[0].session


def test_book_outlives_the_process(tmp_path: Path) -> None:
    """What was noted is there in the next life."""
    first = Journal(tmp_path / "journal")
    IncidentRows(first, KEY).add(incident(1))
    first.close()
    second = Journal(tmp_path / "journal")

    assert [incident(1)] == IncidentRows(second, KEY).find()
    second.close()


async def test_noted_told_and_reported(rows: IncidentRows) -> None:
    """All three get the same."""
    listener, crew = Listener(), Crew(crashed)
    incidents = Incidents(rows, listener.told.append, listener.report, crew)
    incidents.note("turn_fallback", ALICE, "s", "no direct way")
    await crew.wait()

    assert 1 == len(rows.find())
    assert rows.find() == listener.told == listener.reported


async def test_reports_are_limited_and_the_book_is_not(rows: IncidentRows) -> None:
    """A storm of incidents is no storm of requests."""
    listener, crew = Listener(), Crew(crashed)
    incidents = Incidents(rows, listener.told.append, listener.report, crew)
    for number in range(3 * REPORTS_MAX):
        incidents.note("glare", ALICE, str(number))
    await crew.wait()

    assert REPORTS_MAX <= len(listener.reported) <= REPORTS_MAX + 1
    assert 3 * REPORTS_MAX == len(rows.find(limit=1000)) == len(listener.told)


async def test_report_that_fails_is_nobodys_trouble(rows: IncidentRows) -> None:
    """Signaling may be away; the book has it."""
    listener, crew = Listener(), Crew(crashed)
    listener.refuses = True
    Incidents(rows, listener.told.append, listener.report, crew).note("glare")
    await crew.wait()

    assert 1 == len(rows.find())


async def test_nobody_is_told_who_does_not_want_it(rows: IncidentRows) -> None:
    """Reports can be switched off."""
    listener, crew = Listener(), Crew(crashed)
    Incidents(rows, listener.told.append, None, crew).note("glare")
    await asyncio.sleep(0)

    assert [] == listener.reported
    assert 1 == len(listener.told)


async def test_details_are_short_and_printable(rows: IncidentRows) -> None:
    """What a remote made us say cannot fill the book, nor break a line of a log."""
    listener = Listener()
    Incidents(rows, listener.told.append, None, Crew(crashed)).note("glare", detail="a\nb\x1b" + "x" * 1000)

    detail = listener.told[0].detail or ""
    assert DETAIL_CHARACTERS == len(detail)
    assert detail.startswith("a?b?x")


@pytest.mark.parametrize(
    ("deed", "entries", "broken_at"),
    [
        ("UPDATE incidents SET detail = 'nothing happened' WHERE position = 2", 1, 2),
        ("UPDATE incidents SET at_ms = 0 WHERE position = 3", 2, 3),
        ("DELETE FROM incidents WHERE position = 2", 1, 3),
        ("UPDATE incidents SET signature = zeroblob(64) WHERE position = 4", 3, 4),
        ("UPDATE incidents SET digest = NULL WHERE position = 1", 0, 1),
        ("DELETE FROM incidents WHERE position = 1", 4, None),
    ],
)
def test_what_was_written_can_be_verified(deed: str, entries: int, broken_at: int | None) -> None:
    """Whoever changes, forges or takes out an entry is found out; only the oldest may go."""
    journal = Journal(MEMORY)
    rows = IncidentRows(journal, KEY)
    for number in range(1, 6):
        rows.add(incident(number))
    whole = rows.check()
    journal.database.execute(deed)
    checked = rows.check()
    journal.close()

    assert Checked(5) == whole
    assert Checked(entries, broken_at) == checked


def test_incidents_are_found_by_their_session(rows: IncidentRows) -> None:
    """The whole life of one connection can be asked for."""
    rows.add(Incident(event="glare", peer=BOB, session="s-1", at_ms=1))
    rows.add(Incident(event="key_rotated", peer=BOB, session="s-2", at_ms=2))

    assert ["glare"] == [each.event for each in rows.find(session="s-1")]
