"""Answer who is there, from the roster: pages in the order of the tokens, so that a cursor stays good."""

from collections.abc import Iterable

from aiconexus.identity.roster import Known, Roster
from aiconexus.identity.tokens import SortedTokens
from aiconexus.protocol.bodies import AgentCard, Agents, Discover
from aiconexus.protocol.records import RegistryRecord

SCAN_MAX = 5_000
"""How many agents one request may look at; the page then ends early, with a cursor."""


def page(roster: Roster, wanted: Discover, scan_max: int = SCAN_MAX) -> Agents:
    """One page of all agents that fit every filter; revoked ones never do."""
    cards: list[AgentCard] = []
    cursor = wanted.cursor or ""
    for looked_at, token in enumerate(_narrowest(roster, wanted).after(cursor)):
        if looked_at == scan_max:
            return Agents(agents=tuple(cards), cursor=cursor)
        known = roster.get(token)
        if known is not None and known.listed is not None and _fits(known, known.listed, wanted):
            if len(cards) == wanted.limit:
                return Agents(agents=tuple(cards), cursor=cursor)
            cards.append(_card(known, known.listed))
        cursor = token
    return Agents(agents=tuple(cards))


def resolve(roster: Roster, dids: Iterable[str]) -> Agents:
    """All that is known of these agents, revoked ones included, each once."""
    found = ((did, roster.of_did(did)) for did in dict.fromkeys(dids))
    cards = (_card(known, known.record) for did, known in found if known and known.record and known.record.did == did)
    return Agents(agents=tuple(cards))


def _narrowest(roster: Roster, wanted: Discover) -> SortedTokens:
    choices = [roster.everybody]
    if wanted.online:
        choices.append(roster.online)
    if wanted.capability is not None:
        choices.append(roster.capable(wanted.capability))
    if wanted.name is not None:
        choices.append(roster.named(wanted.name))
    return min(choices, key=len)


def _fits(known: Known, record: RegistryRecord, wanted: Discover) -> bool:
    return (
        (wanted.capability is None or wanted.capability in record.capabilities)
        and (wanted.name is None or wanted.name == record.name)
        and (wanted.online is None or wanted.online == (known.presence is not None))
    )


def _card(known: Known, record: RegistryRecord) -> AgentCard:
    presence = known.presence if not record.revoked_ms else None
    return AgentCard(
        did=record.did,
        name=record.name,
        capabilities=record.capabilities,
        codecs=record.codecs,
        online=presence is not None,
        road=presence.road if presence else None,
        since_ms=presence.since_ms if presence else None,
        registered_ms=record.registered_ms,
        revoked=record.revoked_ms > 0,
    )
