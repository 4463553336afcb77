import asyncio

from aiconexus.runtime.lanes import Lanes


async def test_the_order_of_a_key_is_kept_and_keys_do_not_wait_for_each_other() -> None:
    """Items of one key are worked on one after the other; those of another key pass."""
    done: list[str] = []
    gate = asyncio.Event()

    async def work(item: str) -> None:
        if item == "a1":
            await gate.wait()
        done.append(item)
        if item == "b1":
            gate.set()

    lanes = Lanes(work)
    for key, item in (("a", "a1"), ("a", "a2"), ("b", "b1")):
        assert lanes.put(key, item)
    assert lanes.is_busy("a")
    await lanes.settle()

    assert done == ["b1", "a1", "a2"]
    assert not lanes.is_busy("a")


async def test_lanes_are_bounded() -> None:
    """Neither one key nor many keys can queue without end."""
    gate = asyncio.Event()

    async def work(_: int) -> None:
        await gate.wait()

    lanes = Lanes(work, length_max=2, lanes_max=2)
    taken = [lanes.put(key, 0) for key in ("a", "a", "a", "b", "c")]
    gate.set()
    await lanes.settle()

    assert taken == [True, True, False, True, False]
