"""What compose.yaml has to know of a TURN server of our own."""

from aiconexus.cli.home import Home
from aiconexus.cli.options import host_and_port

PORT, TLS_PORT = 3478, 5349


def turn_settings(home: Home, place: str) -> dict[str, str]:
    """
    Choose the profile with coturn, and tell signaling where agents reach it.

    Args:
        home: With a certificate in ``turn/``, TLS is one of the ways.
        place: HOST or HOST:PORT.

    Raises:
        Failure: If it is neither.

    """
    host, port = host_and_port(place if ":" in place else f"{place}:{PORT}", "--turn")
    urls = [f"turn:{host}:{port}?transport=udp", f"turn:{host}:{port}?transport=tcp"]
    if (home.turn / "cert.pem").exists():
        urls.append(f"turns:{host}:{TLS_PORT}?transport=tcp")
    return {
        "COMPOSE_PROFILES": "turn",
        "AICONEXUS_TURN_HOST": host,
        "AICONEXUS_TURN_PORT": str(port),
        # Its own name leads back into the engine, which answers UDP from another address.
        "AICONEXUS_PROBE_HOSTS": f"{host}=turn",
        "AICONEXUS_STUN_URLS": f"stun:{host}:{port}",
        "AICONEXUS_TURN_URLS": ",".join(urls),
    }
