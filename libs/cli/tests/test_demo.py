import json
import subprocess
import sys
from pathlib import Path

PROGRAM = (sys.executable, "-c", "import sys; from aiconexus.cli.main import app; sys.exit(app())")


def test_the_demo_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A run over a killed relay accounts for every envelope, and ends with one line of JSON."""
    (tmp_path / "text.md").write_text("".join(f"line {number} has five words\n" for number in range(80)))
    done = subprocess.run(
        [*PROGRAM, "demo", "--json", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    seconds = figures.pop("seconds")

    assert (0, "") == (done.returncode, done.stderr)
    assert {
        "accepted": figures["processed"] + 2,
        "processed": 80 + 80 + 24 + 2,
        "expired": 1,
        "dead": 1,
        "lost": 0,
        "duplicated": 0,
        "forged_refused": 12,
    } == figures
    assert "relay     is killed with SIGKILL" in done.stdout
    assert "400 words in 80 lines were counted" in done.stdout
    assert seconds < 60
