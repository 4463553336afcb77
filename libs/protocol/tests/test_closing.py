"""How a WebSocket ends."""

import pytest

from aiconexus.protocol.closing import GIVE_UP, REASONS, Close, gives_up


@pytest.mark.parametrize("close", Close)
def test_code_may_be_sent(close: Close) -> None:
    """RFC 6455 section 7.4 lets an endpoint send these codes, with at most 123 bytes of reason."""
    assert close in {1000, 1001, 1009, 1013} or 4000 <= close <= 4999
    assert 0 < len(REASONS[close].encode()) <= 123


@pytest.mark.parametrize("close", Close)
def test_code_tells_whether_to_come_back(close: Close) -> None:
    """An agent gives up after what another connection would not mend."""
    again = {
        Close.GOING_AWAY,
        Close.TRY_LATER,
        Close.SILENT,
        Close.SLOW_READER,
        Close.NOT_REGISTERED,
        Close.TOO_FAST,
    }

    assert (close in again) != gives_up(close)


@pytest.mark.parametrize(("code", "expected"), [(1006, False), (4399, False), (GIVE_UP, True), (4999, True)])
def test_unknown_code_follows_its_range(code: int, expected: bool) -> None:
    """A code of a later release already says whether to come back."""
    assert expected == gives_up(code)
