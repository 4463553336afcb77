"""Who never connects directly pays nothing for it."""

import subprocess
import sys

STACK = ("aiortc", "aioice", "av", "cryptography", "networkx")


def test_the_stack_is_not_imported_with_the_sdk() -> None:
    """An agent starts without WebRTC; it comes with the first connection."""
    program = f"import sys, aiconexus.sdk; print([name for name in {STACK} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]" == told.stdout.strip()
