"""Mutants of genuine envelopes: none is accepted, and none raises what nobody expects."""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter

import pytest

from aiconexus.protocol.seal import Letter

from . import mutants
from .mutants import ACCEPTED, CHUNK, EVE, ORIGINAL

ROOT = Path(__file__).parents[3]
MUTANTS = 1_000_000
PROCESSES = 2
SEED_VARIABLE = "AICONEXUS_FUZZ_SEED"


def test_no_mutant_is_accepted() -> None:
    """Of 20,000 mutants none comes out as anything but an original, and every refusal has a name."""
    found: Counter[str] = Counter()
    for mutator, result, mutant in mutants.outcomes("20000", 20_000):
        assert result != ACCEPTED, f"{mutator}: {mutant!r}"
        found[result] += 1

    assert 20_000 == found.total()
    assert found[ORIGINAL] < 1_000
    assert {"malformed", "invalid_signature", "invalid_did", "unsupported_version"} <= set(found)


@pytest.mark.parametrize(
    "mutator", [mutator for mutator, _ in (*mutants.BINARY, *mutants.TEXT)], ids=lambda m: m.__name__
)
def test_every_kind_of_mutant_is_refused(mutator: mutants.Mutator) -> None:
    """Each way to change an envelope is refused by itself, nearly always."""
    chance = random.Random(mutator.__name__)
    is_frame = mutator in mutants.FRAME_MUTATORS
    found = Counter(mutants.outcome(mutator(chance), is_frame=is_frame) for _ in range(200))

    assert 0 == found[ACCEPTED]
    assert found[ORIGINAL] < 60


def test_nonsense_under_its_own_name_is_read_or_refused_by_name() -> None:
    """A hostile agent may sign anything: it can be read as its own, or its problem has a name."""
    found = list(mutants.nonsense("nonsense", 5_000))
    letters = [letter for letter in found if isinstance(letter, Letter)]

    assert {EVE.did} == {letter.envelope.sender for letter in letters}
    assert {"malformed", "unsupported_type", "unsupported_version"} <= {name for name in found if isinstance(name, str)}


@pytest.mark.fuzz
async def test_no_mutant_of_a_million_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    """Of 1,000,000 mutants none is accepted and none raises an error without a name."""
    seed = os.environ.get(SEED_VARIABLE) or str(random.SystemRandom().getrandbits(32))
    found: Counter[str] = Counter()
    started = perf_counter()

    def tell(text: str, end: str = "\n") -> None:
        with capsys.disabled():
            sys.stdout.write(text + end)
            sys.stdout.flush()

    async def drive(number: int) -> int:
        program = ("-m", "libs.protocol.tests.mutants", f"{seed}-{number}", str(MUTANTS // PROCESSES))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        async for line in process.stdout:
            found.update(json.loads(line)["outcomes"])
            if found.total() % (MUTANTS // 10) < CHUNK:
                rate = found.total() / (perf_counter() - started)
                tell(f"  {found.total():>9,} mutants, {rate:,.0f}/s, {found[ACCEPTED]} accepted")
        return await process.wait()

    tell(f"\n  seed {seed} ({SEED_VARIABLE}={seed} repeats it)")
    async with asyncio.timeout(600):
        exits = await asyncio.gather(*map(drive, range(PROCESSES)))
    tell(f"  {', '.join(f'{name} {count:,}' for name, count in found.most_common())}")

    assert [0] * PROCESSES == exits
    assert (MUTANTS, 0) == (found.total(), found[ACCEPTED])
