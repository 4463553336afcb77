"""What every agent is that runs as a process of its own."""

from pathlib import Path

import msgspec

from aiconexus.sdk import Identity


class Life(msgspec.Struct, frozen=True, kw_only=True):
    """Who it is and where it connects; ``folder`` holds its key, its state and the test's journal."""

    label: str
    folder: str
    url: str

    @property
    def journal(self) -> Path:
        """Where it writes down what it does."""
        return Path(self.folder, f"{self.label}.journal")

    @property
    def complaints(self) -> Path:
        """Where its standard error goes."""
        return Path(self.folder, f"{self.label}.stderr")

    @property
    def identity(self) -> Identity:
        """Whose it is, the same in every life."""
        return Identity.load_or_create(Path(self.folder, f"{self.label}.key"))
