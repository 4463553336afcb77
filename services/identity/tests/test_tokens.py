import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.identity.tokens import FEW, Recent, SortedTokens

words = st.text("abc", min_size=1, max_size=4)


@given(st.lists(st.tuples(st.booleans(), words)), words)
def test_tokens_come_in_order_whatever_was_done(steps: list[tuple[bool, str]], cursor: str) -> None:
    """After any additions and removals, reading from anywhere gives exactly the rest, in order."""
    tokens, model = SortedTokens(), set[str]()
    for is_added, token in steps:
        if is_added and token not in model:
            tokens.add(token)
            model.add(token)
        elif not is_added:
            tokens.discard(token)
            model.discard(token)
            list(tokens.after(""))

    assert sorted(token for token in model if token > cursor) == list(tokens.after(cursor))
    assert len(model) == len(tokens)


@pytest.mark.parametrize("count", [FEW, FEW + 1], ids=["few", "many"])
def test_many_at_once_are_put_in_order_too(count: int) -> None:
    """What comes in bulk is sorted as well as what comes one by one."""
    names = [f"{number:04}" for number in range(count)]
    tokens = SortedTokens()
    for name in reversed(names):
        tokens.add(name)

    assert names == list(tokens.after(""))


def test_recent_forgets_the_oldest() -> None:
    """Memory of what was seen is bounded, and seeing something again keeps it."""
    recent = Recent(2)
    for text in ("a", "b", "a", "c"):
        recent.add(text)

    assert [True, False, True] == ["a" in recent, "b" in recent, "c" in recent]
