"""What can happen to a job, without a bus or a clock."""

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiconexus.protocol.bodies import Message
from aiconexus.protocol.job_bodies import JobState
from aiconexus.protocol.keys import SigningKey
from aiconexus.protocol.policy import RetryPolicy
from aiconexus.protocol.seal import compose, peek, split
from aiconexus.retry import job
from aiconexus.retry.job import Failure, JobRecord, Pace

NOW_MS = 1_790_000_000_000
ALICE, BOB = SigningKey(os.urandom(32)), SigningKey(os.urandom(32))
PLAIN = RetryPolicy(jitter=0.0, max_retries=2)
PACE = Pace(first_ms=1_000, longest_ms=8_000)
FAILED = Failure(problem="handler_failed", message="no paper")
HALF = 0.5


def record(policy: RetryPolicy = PLAIN, *, lives_ms: int = 3_600_000) -> JobRecord:
    """A new job."""
    letter = compose(Message(content="x"), ALICE, BOB.did, id_="a.b", now_ms=NOW_MS, expires_ms=NOW_MS + lives_ms)
    return job.opened(peek(split(letter)), b"digest", policy, NOW_MS)


def in_mailbox(policy: RetryPolicy = PLAIN, sequence: int = 7) -> JobRecord:
    """A job whose first attempt is under way."""
    return job.placed(record(policy), sequence, NOW_MS, PACE)


def test_name_and_key_tell_jobs_apart() -> None:
    """The name is sender and id; the key has no more tokens than it must, whatever the id."""
    assert f"{ALICE.token}.a.b" == record().job
    assert f"{ALICE.token}.a=b.{BOB.token}" == record().key


def test_attempt_begins_in_the_mailbox() -> None:
    """A placed envelope is an attempt, which is looked after soon."""
    placed = in_mailbox()

    assert (JobState.PLACED, 1, 7, 7) == (placed.state, placed.attempts, placed.entry, placed.sequence)
    assert NOW_MS + 1_000 == placed.next_ms


def test_looks_become_rare() -> None:
    """The next look comes after as long as the attempt has lasted, up to a longest time."""
    placed = in_mailbox()
    gaps = [job.next_look_ms(placed, NOW_MS + age, PACE) - NOW_MS - age for age in (0, 1_000, 2_000, 4_000, 60_000)]

    assert [1_000, 1_000, 2_000, 4_000, 8_000] == gaps


def test_look_is_never_later_than_an_end() -> None:
    """A time-out or a deadline that comes before the next look is when to look."""
    short = in_mailbox(msgspec.structs.replace(PLAIN, attempt_timeout_seconds=0.3))
    over = in_mailbox(msgspec.structs.replace(PLAIN, deadline_seconds=0.2))

    assert (NOW_MS + 300, NOW_MS + 200) == (short.next_ms, over.next_ms)


def test_what_lies_there_in_time_changes_nothing() -> None:
    """Without a time-out an envelope may lie in the mailbox until its end."""
    placed = in_mailbox()

    assert placed is job.seen(placed, NOW_MS + 3_599_999, HALF)
    assert JobState.DYING is job.seen(placed, NOW_MS + 3_600_000, HALF).state


def test_timed_out_attempt_stays_in_the_mailbox() -> None:
    """After a time-out the envelope still lies there, and a success may still be seen."""
    placed = in_mailbox(msgspec.structs.replace(PLAIN, attempt_timeout_seconds=0.3))
    failed = job.seen(placed, NOW_MS + 300, HALF)

    assert (JobState.WAITING, 7, "timeout") == (failed.state, failed.entry, failed.problem)


def test_failure_is_followed_by_the_policys_delay() -> None:
    """A returned envelope waits, and is in no mailbox any more."""
    returned = job.returned(in_mailbox(), FAILED, 7, NOW_MS, HALF)

    assert (JobState.WAITING, 0, NOW_MS + 1_000) == (returned.state, returned.entry, returned.next_ms)
    assert ("handler_failed", "no paper") == (returned.problem, returned.message)


def test_stale_return_changes_nothing() -> None:
    """What the recipient says of an earlier attempt was counted before."""
    placed = in_mailbox()
    returned = job.returned(placed, FAILED, 7, NOW_MS, HALF)

    assert placed is job.returned(placed, FAILED, 6, NOW_MS, HALF)
    assert returned is job.returned(returned, FAILED, 7, NOW_MS, HALF)


def test_return_after_a_time_out_is_not_counted_twice() -> None:
    """An attempt that timed out and is returned then has failed once, and is in no mailbox any more."""
    placed = in_mailbox(msgspec.structs.replace(PLAIN, attempt_timeout_seconds=0.3))
    late = job.returned(job.seen(placed, NOW_MS + 300, HALF), FAILED, 7, NOW_MS + 400, HALF)

    assert (1, 0) == (late.retry.failures, late.entry)


def test_return_of_an_attempt_that_nobody_noted_counts() -> None:
    """An entry that was placed by somebody who died before writing it down is an attempt."""
    returned = job.returned(record(), FAILED, 9, NOW_MS, HALF)

    assert (1, 1, 9) == (returned.attempts, returned.retry.failures, returned.sequence)


def test_return_to_a_dying_job_changes_nothing() -> None:
    """What was given up stays given up."""
    dying = job.given_up(in_mailbox(), NOW_MS, "deadline")

    assert dying is job.returned(dying, FAILED, 7, NOW_MS, HALF)


@pytest.mark.parametrize(
    ("policy", "lives_ms", "problem"),
    [
        (msgspec.structs.replace(PLAIN, max_retries=0), 3_600_000, "exhausted"),
        (msgspec.structs.replace(PLAIN, deadline_seconds=0.5), 3_600_000, "deadline"),
        (PLAIN, 500, "expired"),
        (msgspec.structs.replace(PLAIN, retryable=("timeout",)), 3_600_000, "handler_failed"),
    ],
    ids=["exhausted", "deadline", "expired", "not listed"],
)
def test_last_failure_says_why(policy: RetryPolicy, lives_ms: int, problem: str) -> None:
    """A job without a further attempt dies at once, with the reason."""
    dying = job.failed(record(policy, lives_ms=lives_ms), FAILED, NOW_MS, HALF)

    assert (JobState.DYING, problem, NOW_MS) == (dying.state, dying.problem, dying.next_ms)


def test_other_side_may_ask_for_a_pause() -> None:
    """A refusal that says when to come again is heeded."""
    full = Failure(problem="mailbox_full", retry_after_ms=5_000)

    assert NOW_MS + 5_000 == job.failed(record(), full, NOW_MS, HALF).next_ms


def test_requeued_job_begins_anew_under_new_attempts() -> None:
    """Failures are forgotten, attempts go on counting, so that their ids stay different."""
    dead = job.ended(job.given_up(in_mailbox(), NOW_MS, "exhausted"), JobState.DEAD, NOW_MS)
    again = job.requeued(dead, 3, None, NOW_MS + 5)

    assert (JobState.WAITING, 1, 0, 0, None) == (
        again.state,
        again.attempts,
        again.retry.failures,
        again.entry,
        again.problem,
    )
    assert (NOW_MS + 5, NOW_MS + 5, 3) == (again.next_ms, again.retry.started_ms, again.grave)


@given(st.lists(st.sampled_from(["placed", "seen", "failed", "returned"]), max_size=60))
def test_record_stays_bounded_and_ends(events: list[str]) -> None:
    """Whatever happens to a job, its history is bounded and it never has more failures than its policy allows."""
    one, now_ms = record(msgspec.structs.replace(PLAIN, attempt_timeout_seconds=1)), NOW_MS
    for number, event in enumerate(events, start=1):
        now_ms += 700
        if one.state is JobState.DYING:
            break
        if event == "placed":
            one = job.placed(one, number, now_ms, PACE)
        elif event == "seen":
            one = job.seen(one, now_ms, HALF)
        elif event == "failed":
            one = job.failed(one, FAILED, now_ms, HALF)
        else:
            one = job.returned(one, FAILED, number, now_ms, HALF)

    assert len(one.history) <= job.HISTORY_MAX
    assert one.retry.failures <= PLAIN.max_retries + 1
    assert one == msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=JobRecord)
