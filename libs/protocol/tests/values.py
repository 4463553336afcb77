"""What an agent may say, for property tests."""

from typing import Any

from hypothesis import strategies as st

SAFE = 2**53 - 1


def _has_json_text(number: float) -> bool:
    """RFC 8785 writes these doubles as integers, which readers then refuse as too large."""
    return not (SAFE < abs(number) < 1e21)


texts = st.text(st.characters(codec="utf-8"), max_size=20)
integers = st.integers(min_value=-SAFE, max_value=SAFE)
floats = st.floats(allow_nan=False, allow_infinity=False).filter(_has_json_text)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
