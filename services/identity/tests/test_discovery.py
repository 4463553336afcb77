import pytest

from aiconexus.identity.discovery import page, resolve
from aiconexus.identity.roster import Roster
from aiconexus.protocol.bodies import Agents, Discover, Road

from .people import IN_ORDER, PEOPLE, presence, record, roster


def tokens(agents: Agents) -> list[str]:
    """Who is on a page."""
    return [card.did.removeprefix("did:key:") for card in agents.agents]


@pytest.mark.parametrize("limit", [1, 3, 4, 7, 8, 9])
def test_pages_add_up_to_everybody_once(limit: int) -> None:
    """Following the cursor shows every agent once, in order, and the last page has no cursor."""
    full, seen, cursor = roster(), list[str](), None
    for _ in range(-(-len(PEOPLE) // limit)):
        found = page(full, Discover(limit=limit, cursor=cursor))
        seen += tokens(found)
        cursor = found.cursor

    assert IN_ORDER == seen
    assert cursor is None


def mixed() -> Roster:
    """Everybody, with different capabilities and names; the first three are online."""
    full = roster()
    for number, token in enumerate(IN_ORDER):
        capabilities = ("math/sum",) if number % 2 else ("math",)
        full.apply_record(token, record(token, capabilities=capabilities, name=f"n{number % 4}"), 100 + number)
        if number < 3:
            full.apply_presence(token, presence(token), 200 + number)
    return full


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        pytest.param(Discover(capability="math"), [0, 2, 4, 6], id="capability"),
        pytest.param(Discover(capability="mat"), [], id="no prefix"),
        pytest.param(Discover(name="n1"), [1, 5], id="name"),
        pytest.param(Discover(name="n"), [], id="no part of a name"),
        pytest.param(Discover(online=True), [0, 1, 2], id="online"),
        pytest.param(Discover(online=False), [3, 4, 5, 6, 7], id="offline"),
        pytest.param(Discover(online=True, capability="math"), [0, 2], id="online and capability"),
        pytest.param(Discover(online=False, name="n1", capability="math/sum"), [5], id="all three"),
        pytest.param(Discover(name="n1", capability="math"), [], id="nobody"),
    ],
)
def test_every_filter_must_fit(wanted: Discover, places: list[int]) -> None:
    """Filters are exact and cut each other."""
    found = page(mixed(), wanted)

    assert [IN_ORDER[place] for place in places] == tokens(found)


def test_a_request_looks_at_so_many_only() -> None:
    """A filter that hardly fits costs a bounded look; the page ends early, with a cursor that goes on."""
    full = mixed()
    first = page(full, Discover(online=False), scan_max=2)
    second = page(full, Discover(online=False, cursor=first.cursor), scan_max=2)

    assert ([], IN_ORDER[1]) == (tokens(first), first.cursor)
    assert ([IN_ORDER[3]], IN_ORDER[3]) == (tokens(second), second.cursor)


def test_a_card_says_where_and_since_when() -> None:
    """Who is online shows the road and the time, who is not shows neither."""
    full = roster(name="n", capabilities=("c",), codecs=(1,))
    token = IN_ORDER[0]
    full.apply_presence(token, presence(token, road=Road.NATS, instance="n1"), 50)
    cards = page(full, Discover(limit=2)).agents

    assert [(True, Road.NATS, 2_000), (False, None, None)] == [
        (card.online, card.road, card.since_ms) for card in cards
    ]
    assert ("n", ("c",), (1,), 1_000, False) == (
        cards[0].name,
        cards[0].capabilities,
        cards[0].codecs,
        cards[0].registered_ms,
        cards[0].revoked,
    )


def test_resolve_tells_of_revoked_agents_and_leaves_strangers_out() -> None:
    """Only what is asked for is shown, each once; a void key says so and is never online."""
    full = roster()
    token = IN_ORDER[0]
    full.apply_presence(token, presence(token), 50)
    full.apply_record(token, record(token, revoked_ms=9), 51)
    wanted = [f"did:key:{token}", f"did:key:{token}", f"did:key:{IN_ORDER[1]}", "did:key:z6MkNobody", "nonsense"]
    cards = resolve(full, wanted).agents

    assert [(token, True, False), (IN_ORDER[1], False, False)] == [
        (card.did.removeprefix("did:key:"), card.revoked, card.online) for card in cards
    ]
    assert token not in tokens(page(full, Discover()))
