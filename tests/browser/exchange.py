"""Many messages both ways between a page and a Python agent, each counted, in order, and receipted."""

import asyncio

import msgspec
from tests.browser.visitor import Visitor
from tests.integration.sdk_agents import Heard

from aiconexus.sdk import Agent

WINDOW = 256
SECONDS = 300.0

TALK = """
async ([did, count, window]) => {
  const got = [], refused = [], roads = new Set(), done = new Set();
  let wake = () => {};
  const note = ({ detail: { line } }) => {
    if (line.peer !== did || typeof line.content !== 'number') return;
    if (!line.isMine) got.push(line.content);
    else if (line.status === 'processed') done.add(line.id);
    if (line.status === 'processed') roads.add(line.road);
    wake();
  };
  agent.addEventListener('line', note);
  agent.addEventListener('refused', ({ detail: { error } }) => refused.push(String(error)));
  let sent = 0;
  const sending = [];
  while (done.size < count || got.length < count) {
    while (sent < count && sent - done.size < window) sending.push(agent.send(did, sent++));
    await new Promise((resolve) => (wake = resolve));
  }
  await Promise.all(sending);
  agent.removeEventListener('line', note);
  const inOrder = got.every((content, at) => content === at);
  return { got: got.length, processed: done.size, in_order: inOrder, roads: [...roads], refused };
}
"""


class Told(msgspec.Struct, frozen=True):
    """What the page saw; ``processed`` counts receipts for its own messages, ``refused`` what it did not believe."""

    got: int
    processed: int
    in_order: bool
    roads: list[str]
    refused: list[str]


async def exchange(visitor: Visitor, agent: Agent, heard: Heard, count: int) -> tuple[Told, list[object]]:
    """
    Have both send the numbers from 0 on, at the same time, and wait for every receipt.

    Returns:
        What the page saw, and what the agent handled.

    """
    did = await visitor.did()
    talking = asyncio.create_task(visitor.run(TALK, agent.identity.did, count, WINDOW, seconds=SECONDS))
    room = asyncio.Semaphore(WINDOW)

    async def send(number: int) -> None:
        async with room:
            sent = await agent.send(did, number, timeout=0)
            await sent.wait_processed(SECONDS)

    async with asyncio.timeout(SECONDS):
        await asyncio.gather(*(send(number) for number in range(count)))
        told = msgspec.convert(await talking, Told)
    contents = [(await heard.next()).content for _ in range(count)]
    return told, contents
