"""The statement that names the services, signed often enough that it is always fresh."""

from aiconexus.bus.clock import now_ms
from aiconexus.protocol.bodies import PlatformInfo
from aiconexus.protocol.limits import ENVELOPE_MAX_BYTES
from aiconexus.runtime.directory import Directory
from aiconexus.runtime.voice import Voice

AGE_MAX_MS = 10_000
"""Well below the minute for which readers take it for fresh."""


class Platform:
    """
    Who the services are, in identity's own word.

    Args:
        voice: Identity's.
        directory: Names them.

    """

    def __init__(self, voice: Voice, directory: Directory) -> None:
        self._voice = voice
        self._info = PlatformInfo(services=directory.services)
        self._sealed = b""
        self._sealed_ms = 0

    def statement(self) -> bytes:
        """The sealed PLATFORM envelope."""
        now = now_ms()
        if not self._sealed_ms <= now < self._sealed_ms + AGE_MAX_MS:
            self._sealed = self._voice.say(self._info, None, limit=ENVELOPE_MAX_BYTES)
            self._sealed_ms = now
        return self._sealed
