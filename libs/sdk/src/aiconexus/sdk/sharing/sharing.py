"""What an agent has of sharing: one call to send a file, one to take files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aiconexus.sdk.handlers import Handlers
from aiconexus.sdk.notices import Notices
from aiconexus.sdk.sharing.giving import Giving, OnStep, Shared, Speaker
from aiconexus.sdk.sharing.shelf import Shelf
from aiconexus.sdk.sharing.taking import MAX_BYTES, Accept, ReceivedFile, Taking

FileCallback = TypeVar("FileCallback", bound=Callable[[ReceivedFile], Any])


class Sharing:
    """
    The files of one agent.

    Args:
        agent: Whose.
        handlers: Its handlers.
        notices: Where its application listens.

    """

    def __init__(self, agent: Speaker, handlers: Handlers, notices: Notices) -> None:
        self._agent = agent
        self._handlers = handlers
        self._notices = notices
        self._taking: Taking | None = None
        self._callbacks: list[Callable[[ReceivedFile], Any]] = []

    async def share(
        self,
        path: str | Path,
        did: str,
        *,
        name: str | None = None,
        progress: OnStep | None = None,
        direct: bool = True,
        stall_seconds: float = 8.0,
    ) -> Shared:
        """
        Bring a file to another agent, which has to take files, and wait until it has the whole.

        It goes on over lost connections, and where the recipient had come to if one of the two processes died: share
        it again then. It goes through a direct connection where one comes about, otherwise through the mailbox.

        Args:
            path: The file; it must not change meanwhile.
            did: To whom.
            name: What it is to be called, if not what it is called here.
            progress: Called with each ``Step``.
            direct: Whether to try for a direct connection if there is none.
            stall_seconds: A direct connection through which nothing comes for so long is left, and the mailbox tried;
                one that is lost is left at once.

        Raises:
            OSError: If the file cannot be read.
            TransferRefused: If the recipient does not take it, or something is not what was announced.
            RemoteProblem: If the recipient is unknown, or takes no files.
            NotAcknowledged: If the recipient is not there.

        """
        giving = Giving(
            self._agent, Path(path), did, name=name, on_step=progress, direct=direct, stall_seconds=stall_seconds
        )
        return await giving.run()

    def receive_files(
        self,
        folder: str | Path,
        *,
        accept: Accept | None = None,
        max_bytes: int = MAX_BYTES,
        overwrite: bool = False,
        idle_seconds: float = 30.0,
        wait_seconds: float = 10.0,
    ) -> None:
        """
        Take files that others share, from the next start on.

        Args:
            folder: Where they lie once they are whole; what is not yet lies below it, and is gone on with.
            accept: Says of each ``Offered`` whether it is taken, at once or as a coroutine; None takes all. What was
                taken once is gone on with unasked, after the next start, too.
            max_bytes: The largest file.
            overwrite: Whether a file takes the place of one of the same name; otherwise it gets a number.
            idle_seconds: A file of which nothing came for so long makes room for another, if 16 come at a time; it is
                gone on with when something comes.
            wait_seconds: A sender that asks whether all is there is answered when nothing came for so long; it waits
                two minutes at most. Meanwhile no more than 256 envelopes that came after its question are read.

        Raises:
            OSError: If the folder cannot be made.

        """
        shelf = Shelf(Path(folder), max_bytes=max_bytes, overwrite=overwrite)
        self._taking = Taking(shelf, accept, self._note_file, idle_seconds=idle_seconds, wait_seconds=wait_seconds)
        self._taking.serve(self._handlers, self._notices)

    def on_file(self, callback: FileCallback) -> FileCallback:
        """Have a callback told of each ``ReceivedFile`` that has come as a whole."""
        self._callbacks.append(callback)
        return callback

    def close(self) -> None:
        """Leave what is not whole for another time."""
        if self._taking is not None:
            self._taking.close()

    def _note_file(self, file: ReceivedFile) -> None:
        for callback in self._callbacks:
            self._notices.tell_one(callback, file)
