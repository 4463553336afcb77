import json
from pathlib import Path

from aiconexus.runtime.ports import Ports
from aiconexus.runtime.testing import Lines


def test_ports_are_logged_and_written_as_one_object(tmp_path: Path) -> None:
    """Whoever started the service learns every port from one file."""
    path, lines = tmp_path / "ports.json", Lines()
    ports = Ports("edge", str(path), lines.log)

    ports.announce("metrics", 9091)
    ports.announce("http", 8081)

    assert json.loads(path.read_text()) == {"metrics": 9091, "http": 8081}
    assert [line["port"] for line in lines.of("edge.http_listening")] == [8081]
    assert [entry.name for entry in tmp_path.iterdir()] == ["ports.json"]
