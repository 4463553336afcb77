"""Two ways to watch the demo: a live view on a terminal, and plain lines elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.constrain import Constrain
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aiconexus.cli.demo.notes import Event
from aiconexus.cli.demo.tally import NEWS_MAX, News, Tally

COLOURS = {
    "ada": "magenta",
    "bruno": "cyan",
    "cleo": "green",
    "relay": "yellow",
    "intruder": "red",
    "platform": "blue",
    "demo": "bold",
}
RELAY_STYLES = {"up": "green", "starting": "yellow", "killed": "bold white on red"}
FLOWS_MAX = 8
WIDTH_MAX = 100
PLAIN_SECONDS = 1.0
COLUMNS = (Event.STORED, Event.DELIVERED, Event.PROCESSED, Event.EXPIRED, Event.DEAD, Event.HANDLED)


class LiveView:
    """
    The whole state, drawn anew many times a second.

    Args:
        console: A terminal.

    """

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()

    def refresh(self, tally: Tally) -> None:
        """Draw."""
        self._live.update(drawn(tally), refresh=True)


class PlainView:
    """
    A line for everything that happens, and how far it is about once a second.

    Args:
        console: Anything.

    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: News | None = None
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def refresh(self, tally: Tally) -> None:
        """Print what is new."""
        for news in self._fresh(list(tally.news)):
            self._console.print(f"{news.seconds:5.1f} s  {news.who:9} {news.what}", soft_wrap=True, markup=False)
        if tally.seconds >= self._next and tally.results:
            self._next = tally.seconds + PLAIN_SECONDS
            envelopes = "envelope on its way" if tally.open_count == 1 else "envelopes on their way"
            words = f"{tally.results} of {tally.pieces} pieces counted, {tally.open_count} {envelopes}"
            self._console.print(f"{tally.seconds:5.1f} s  {'progress':9} {words}", soft_wrap=True, markup=False)

    def _fresh(self, news: list[News]) -> list[News]:
        known = news.index(self._seen) + 1 if self._seen in news else 0
        self._seen = news[-1] if news else self._seen
        return news[known:]


def drawn(tally: Tally) -> RenderableType:
    """The live view of one moment."""
    content = Group(_who(tally), Text(), _middle(tally), Text(), _progress(tally))
    return Constrain(Panel(content, title="AIConexus", subtitle=f"{tally.seconds:.1f} s"), WIDTH_MAX)


def _who(tally: Tally) -> Table:
    table = Table(box=None, expand=True, pad_edge=False)
    for header in ("agent", "road", "here"):
        table.add_column(header)
    for header in ("stored", "delivered", "processed", "expired", "dead", "handled"):
        table.add_column(header, justify="right")
    for member in tally.members.values():
        here = Text("yes", "green") if member.is_here else Text("no", "dim")
        counts = [Text(str(member.counts[event]) if member.counts[event] else "·") for event in COLUMNS]
        table.add_row(Text(member.name, COLOURS[member.name]), Text(member.road), here, *counts)
    return table


def _middle(tally: Tally) -> Table:
    table = Table.grid(padding=(0, 3), expand=True)
    table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=5, no_wrap=True, overflow="ellipsis")
    flows = [Text("what flows", "bold"), *(_flow(*flow) for flow in tally.flows.most_common(FLOWS_MAX))]
    news = [Text("what happens", "bold"), *(_news(item) for item in tally.news)]
    height = NEWS_MAX + 1
    for left, right in zip(_padded(flows, height), _padded(news, height), strict=True):
        table.add_row(left, right)
    return table


def _flow(pair: tuple[str, str, str], times: int) -> Text:
    sender, recipient, type_ = pair
    line = Text(no_wrap=True)
    line.append(sender, COLOURS.get(sender, ""))
    line.append(" → ")
    line.append(recipient, COLOURS.get(recipient, ""))
    line.append(f" {type_.lower()}", "dim")
    line.append(f" {times}")
    return line


def _news(news: News) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{news.seconds:4.1f} ", "dim")
    line.append(f"{news.who} ", COLOURS.get(news.who, ""))
    line.append(news.what)
    return line


def _progress(tally: Tally) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("counted", ProgressBar(total=max(1, tally.pieces), completed=tally.results, width=40), _share(tally))
    refused = sum(found.is_refused for found in tally.tries)
    ends = f"{tally.sum_of(Event.STORED)} accepted, {tally.open_count} on their way"
    table.add_row("relay", Text(tally.relay, RELAY_STYLES[tally.relay]), Text(ends))
    table.add_row("intruder", Text(f"{refused} of {len(tally.tries)} tries refused"))
    return table


def _share(tally: Tally) -> Text:
    return Text(f"{tally.results} of {tally.pieces} pieces")


def _padded(lines: list[Text], height: int) -> list[Text]:
    return [*lines, *(Text() for _ in range(height - len(lines)))][:height]
