"""One replica at a time does what only one may do."""

from collections.abc import Callable

from aiconexus.bus.buckets import Bucket
from aiconexus.protocol.errors import BusError, WrongRevision


class Lease:
    """
    A key in a bucket whose values are forgotten after a while.

    Args:
        bucket: It forgets a value ``lease_seconds`` after it was written.
        key: What the lease is for.
        holder: Our name.
        lease_seconds: As the bucket has it.
        monotonic: A clock in seconds.

    """

    def __init__(
        self, bucket: Bucket, key: str, holder: str, lease_seconds: float, monotonic: Callable[[], float]
    ) -> None:
        self._bucket = bucket
        self._key = key
        self._value = holder.encode()
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._revision = 0
        self._renewed = 0.0

    @property
    def is_held(self) -> bool:
        """Whether it is surely ours at this moment."""
        return self._revision > 0 and self._monotonic() - self._renewed < self._lease_seconds

    async def hold(self) -> bool:
        """
        Take the lease if it is free, renew it if it is ours and a third of it has passed.

        Returns:
            Whether it is ours.

        """
        now = self._monotonic()
        if self.is_held and now - self._renewed < self._lease_seconds / 3:
            return True
        try:
            if self.is_held:
                self._revision = await self._bucket.update(self._key, self._value, self._revision)
            else:
                self._revision = await self._bucket.create(self._key, self._value)
            self._renewed = now
        except WrongRevision:
            self._revision = 0
        except BusError:
            # The bus is away. What we have counts until its end, by our own clock.
            return self.is_held
        return self._revision > 0

    async def give_back(self) -> None:
        """Let the next one have it at once."""
        if not self.is_held:
            return
        revision, self._revision = self._revision, 0
        try:
            await self._bucket.delete(self._key, revision)
        except BusError:
            return
