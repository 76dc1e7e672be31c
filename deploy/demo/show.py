"""Progress on stderr: updated in place on a terminal, lines elsewhere. Results go to stdout."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

LINE_EVERY_S: Final = 2.0
BAR_WIDTH_MAX: Final = 40
BAR_MARGIN: Final = 6


class Step:
    """A step of the demo that is under way."""

    def __init__(self, tell: Callable[[str], None], title: str) -> None:
        self.tell = tell
        self.title = title

    def done(self, title: str) -> None:
        """Set the title that is shown at the end."""
        self.title = title


class Show:
    """Shows the progress of a demo."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._moving = console.is_terminal
        self.tick = "✓" if "utf" in console.encoding.lower() else "ok"
        self._full, self._empty = ("━", "─") if "utf" in console.encoding.lower() else ("#", "-")

    def tell(self, text: str) -> None:
        """Print a line."""
        self._console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show a step: its title while it lasts; at the end a line with a tick and how long it took."""
        began_s = time.monotonic()
        if self._moving:
            with self._console.status(escape(title)) as status:
                step = Step(lambda text: status.update(f"{escape(title)}: [dim]{escape(text)}[/dim]"), title)
                yield step
        else:
            step = Step(self.tell, title)
            yield step
        took = f"{time.monotonic() - began_s:.1f} s"
        self._console.print(
            f"[green]{self.tick}[/green] {escape(step.title)} [dim]({took})[/dim]", highlight=False, soft_wrap=True
        )

    @contextmanager
    def orders(self, total: int, line: Callable[[], tuple[int, str]]) -> Iterator[Callable[[], None]]:
        """Show the progress of orders; the yielded function updates it. line: how many have ended, and the counts."""
        if self._moving:
            with Live(console=self._console, auto_refresh=False, transient=True) as live:

                def look() -> None:
                    ended, text = line()
                    live.update(self._bar(ended, total, text), refresh=True)

                yield look
            return
        last_s = time.monotonic()

        def say() -> None:
            nonlocal last_s
            if time.monotonic() - last_s >= LINE_EVERY_S:
                last_s = time.monotonic()
                self.tell(line()[1])

        yield say

    def _bar(self, ended: int, total: int, text: str) -> Text:
        width = max(0, min(BAR_WIDTH_MAX, self._console.width - len(text) - BAR_MARGIN))
        filled = width * ended // max(1, total)
        bar = Text("  ", no_wrap=True, overflow="ellipsis")
        bar.append(self._full * filled, style="green")
        bar.append(self._empty * (width - filled), style="dim")
        return bar.append(f"  {text}")
