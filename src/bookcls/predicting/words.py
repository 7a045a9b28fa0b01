"""What a person reads at the end: a table in words, and what to do next."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.predicting.prediction import Prediction

SHOWN = 5
"""So many unreadable photos are named; the table has all of them."""


class Tally:
    """Counts answers as they come."""

    def __init__(self, class_names: Sequence[str]) -> None:
        """Starts at zero for each class."""
        self.class_names = list(class_names)
        self.answers, self.unsure = Counter[str](), Counter[str]()
        self.unreadable = 0
        self.named: list[str] = []

    def add(self, found: Prediction) -> None:
        """Counts one."""
        if found.answer is None:
            self.unreadable += 1
            if len(self.named) < SHOWN:
                self.named.append(f"{found.file}: {found.error}")
            return
        self.answers[found.answer] += 1
        self.unsure[found.answer] += found.unsure

    def show(self) -> None:
        """Prints a row for each class, and one for what could not be read."""
        answered, unsure = self.answers.total(), self.unsure.total()
        table = Table(show_footer=True)
        table.add_column("answer", "together")
        table.add_column("photos", str(answered + self.unreadable), justify="right")
        table.add_column("of these unsure", str(unsure), justify="right")
        for name in self.class_names:
            table.add_row(escape(name), str(self.answers[name]), str(self.unsure[name]))
        if self.unreadable:
            table.add_row("could not be read", str(self.unreadable), "")
        console = Console(highlight=False)
        console.print(table)
        for line in self.named:
            print(f"not read  {line}")
        if self.unreadable > len(self.named):
            print(f"          and {self.unreadable - len(self.named)} more: see the column error")

    def next_step(self, *, pictures: bool) -> str:
        """What to do with the answers, in a sentence or two."""
        answered, unsure = self.answers.total(), self.unsure.total()
        look = "" if pictures else " cam=DIR draws what the model looked at."
        if 2 * unsure > answered:
            return (
                "Most answers are unsure: perhaps these photos differ from those that taught the "
                f"model. Put some of them into train/<class>/ and train again.{look}"
            )
        if unsure:
            return (
                "Look at the unsure answers first (column unsure); such photos in train/<class>/ "
                f"teach the model most.{look}"
            )
        return (
            "No answer is unsure, which does not make it right: check some, or label some into "
            f"test/<class>/ and let evaluate count.{look}"
        )
