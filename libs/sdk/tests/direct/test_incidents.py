"""Incidents are kept, told and reported, and none of it without bound."""

import asyncio
from pathlib import Path

import pytest

from aiconexus.protocol.errors import BusUnavailable
from aiconexus.protocol.signal_bodies import Incident
from aiconexus.sdk.crew import Crew
from aiconexus.sdk.direct.incidents import DETAIL_CHARACTERS, REPORTS_MAX, Incidents
from aiconexus.sdk.incidentrows import KEPT_MAX, IncidentRows
from aiconexus.sdk.journal import MEMORY, Journal

ALICE, BOB = "did:key:zAlice", "did:key:zBob"


@pytest.fixture
def rows() -> IncidentRows:
    """An empty book."""
    return IncidentRows(Journal(MEMORY))


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
    IncidentRows(first).add(incident(1))
    first.close()
    second = Journal(tmp_path / "journal")

    assert [incident(1)] == IncidentRows(second).find()
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
