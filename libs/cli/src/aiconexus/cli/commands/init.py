"""`aiconexus init`: what a platform needs before its first start, when something other than `up` starts it."""

from typing import Annotated

import typer

from aiconexus.cli.options import DEFAULT_HOME, HomeOption, host_and_port


def init(
    *,
    home: HomeOption = DEFAULT_HOME,
    listen: Annotated[str, typer.Option(help="Where the bus listens, as its own process sees it.")] = "0.0.0.0:4222",
    monitor: Annotated[str, typer.Option(help="Where the bus tells of its health.")] = "127.0.0.1:8222",
    store: Annotated[str, typer.Option(help="Where the bus keeps its streams, as its own process sees it.")] = "/data",
    log: Annotated[
        str, typer.Option(help="Where the bus logs, as its own process sees it; nothing means standard error.")
    ] = "/var/log/nats/nats.log",
    turn: Annotated[
        str, typer.Option(help="HOST or HOST:PORT at which agents reach a TURN server of our own; none without.")
    ] = "",
    sync: Annotated[
        bool, typer.Option("--sync", help="Survive power failures: write every envelope through to the disk.")
    ] = False,
) -> None:
    """
    Make keys, nats.conf, directory.json and compose.env, for compose or another supervisor.

    Keys that are there stay as they are; the other files are written anew.
    """
    from aiconexus.bus.accounts import render_server_config
    from aiconexus.cli.home import Home, write_public
    from aiconexus.cli.turn import turn_settings

    host, port = host_and_port(listen, "--listen")
    monitor_host, monitor_port = host_and_port(monitor, "--monitor")
    place = Home(home)
    place.ensure()
    plan = place.server_plan(
        host=host,
        port=port,
        monitor_host=monitor_host,
        monitor_port=monitor_port,
        store_dir=store,
        log_file=log,
        sync_always=sync,
    )
    write_public(place.path / "nats.conf", render_server_config(plan).encode())
    settings = place.compose_settings() | (turn_settings(place, turn) if turn else {})
    compose_env = place.path / "compose.env"
    write_public(compose_env, "".join(f"{name}={text}\n" for name, text in settings.items()).encode())
    typer.echo(f"{place.path}: secrets/ (keep them), nats.conf, directory.json and compose.env")
    typer.echo(f"the platform is {place.platform_did}")
    typer.echo(f"in containers: docker compose --env-file {compose_env} up --build --wait")
