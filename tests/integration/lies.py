"""What a hostile peer says of itself: descriptions and HELLOs, each with the event by which it is noted."""

from typing import Any

import pytest

ANOTHER = "sha-256 " + ":".join(["AB"] * 32)


def flipped(text: str) -> str:
    """Another certificate's SHA-256 fingerprint."""
    lines = text.splitlines(keepends=True)
    return "".join(
        line[:-4] + ("00" if line[-4:-2] != "00" else "11") + "\r\n" if "fingerprint:sha-256" in line else line
        for line in lines
    )


def without_fingerprints(text: str) -> str:
    """No fingerprint at all."""
    return "".join(line for line in text.splitlines(keepends=True) if "a=fingerprint" not in line)


def weakened(algorithm: str, length: int) -> Any:
    """Only a fingerprint by a hash function that proves nothing."""

    def change(text: str) -> str:
        return without_fingerprints(text) + f"a=fingerprint:{algorithm} {':'.join(['AB'] * length)}\r\n"

    return change


def contradicting(text: str) -> str:
    """Another fingerprint for the whole session than for its only part."""
    head, _, rest = text.partition("m=")
    return f"{head}a=fingerprint:{ANOTHER}\r\nm={rest}"


LIES = [
    pytest.param(without_fingerprints, "fingerprint_missing", id="no fingerprint"),
    pytest.param(weakened("sha-1", 20), "fingerprint_weak", id="SHA-1"),
    pytest.param(weakened("md5", 16), "fingerprint_weak", id="MD5"),
    pytest.param(contradicting, "fingerprint_inconsistent", id="inconsistent"),
    pytest.param(lambda text: text.replace("m=application", "m=audio"), "offer_refused", id="no data channel"),
]

BAD_HELLOS = [
    pytest.param({"session": "another"}, "hello_invalid", id="another session"),
    pytest.param({"role": "answerer"}, "hello_invalid", id="our role"),
    pytest.param({"fingerprints": ()}, "fingerprint_mismatch", id="no fingerprints"),
    pytest.param({"fingerprints": (ANOTHER,)}, "fingerprint_mismatch", id="other fingerprints"),
    pytest.param({"peer_fingerprints": (ANOTHER,)}, "fingerprint_mismatch", id="others for us"),
    pytest.param({"offer_hash": bytes(32)}, "offer_hash_mismatch", id="another offer"),
]
