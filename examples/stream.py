"""
Stream: an agent that answers in parts, as a language model does, and one that reads them as they come.

The reader is killed by nobody here, but could be: with an id of its own it would go on where it was.
Run it while `./dev up` runs: python examples/stream.py [ws://127.0.0.1:8000/ws]
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from aiconexus.bus.clock import new_id
from aiconexus.sdk import Agent, Call, Identity

KEYS = ".aiconexus/agents"
POEM = ["the", "kettle", "sings", "a", "signed", "and", "sealed", "song"]


async def main(url: str) -> None:
    """Have a poem recited."""
    poet = Agent(Identity.load_or_create(f"{KEYS}/poet.key"), url, name="poet")

    @poet.capability("poem.recite")
    async def recite(args: dict[str, Any], call: Call) -> AsyncIterator[str]:
        await call.progress("clearing my throat")  # gives the call more time, up to the caller's ceiling
        for word in POEM[: args["words"]]:
            yield word

    async with poet, Agent(Identity.load_or_create(f"{KEYS}/reader.key"), url, name="reader") as reader:
        words = reader.stream(
            capability="poem.recite",
            args={"words": 5},
            id_=new_id(),
            on_progress=lambda progress: print(f"({progress.message})"),
        )
        async for word in words:
            print(word, end=" ", flush=True)
        print()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8000/ws"))
