import json
import subprocess
import sys
from typing import Any

from aiconexus.runtime.logs import Throttle

PROGRAM = """
import logging, sys, warnings
from aiconexus.runtime.logs import configure
log = configure({level!r}, {form!r}, service="probe", instance="i1", version="1")
log.debug("probe.step_done")
log.info("probe.envelope_stored", size_bytes=3, raw=b"x", odd={{1}})
logging.getLogger("nats").warning("library %s", "speaks")
logging.getLogger("nats").info("library whispers")
warnings.warn("deprecated")
try:
    secret = "hidden"
    1 / 0
except ZeroDivisionError:
    log.exception("probe.request_failed")
"""


def printed(level: str, form: str) -> str:
    """What the program writes."""
    program = PROGRAM.format(level=level, form=form)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def parsed(level: str, form: str) -> list[dict[str, Any]]:
    """Its lines as JSON."""
    return [json.loads(line) for line in printed(level, form).splitlines()]


def test_each_event_is_one_json_line_with_the_facts_of_the_process() -> None:
    """Away from a terminal machines read the log, those of the libraries included."""
    ours, library, warning, failure = parsed("info", "auto")

    assert (ours["event"], ours["level"], ours["size_bytes"]) == ("probe.envelope_stored", "info", 3)
    assert (ours["service"], ours["instance"], ours["version"]) == ("probe", "i1", "1")
    assert ours["timestamp"].endswith("Z")
    assert (library["event"], library["level"], library["logger"]) == ("library speaks", "warning", "nats")
    assert library["service"] == "probe"
    assert "deprecated" in warning["event"]
    assert "ZeroDivisionError" in failure["exception"]


def test_the_level_counts() -> None:
    """Below it nothing is written; libraries are loud at ``debug`` only."""
    assert [line["event"] for line in parsed("error", "json")] == ["probe.request_failed"]
    assert {"probe.step_done", "library whispers"} <= {line["event"] for line in parsed("debug", "json")}


def test_the_console_is_for_people_and_shows_no_local_variable() -> None:
    """A traceback is there, the values of its variables are not."""
    text = printed("info", "console")

    assert "probe.envelope_stored" in text
    assert "ZeroDivisionError" in text
    assert "hidden" not in text.replace('secret = "hidden"', "")


def test_a_throttle_lets_some_lines_pass_and_counts_the_rest() -> None:
    """The first line of a second tells how many were dropped before it."""
    throttle = Throttle(2)

    admitted = [throttle.admit(now_ms) for now_ms in (1000, 1001, 1002, 1999, 2000, 3000)]

    assert admitted == [0, 0, None, None, 2, 0]
