"""Counts predictions, and prints the summary and the next step."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.predicting.prediction import Prediction

SHOWN = 5
"""Maximum number of unreadable photos that are printed; the csv file lists all."""


class Tally:
    """Counts predictions per class."""

    def __init__(self, class_names: Sequence[str]) -> None:
        """Creates counters for the given classes."""
        self.class_names = list(class_names)
        self.answers, self.unsure = Counter[str](), Counter[str]()
        self.unreadable = 0
        self.named: list[str] = []

    def add(self, prediction: Prediction) -> None:
        """Counts one prediction."""
        if prediction.answer is None:
            self.unreadable += 1
            if len(self.named) < SHOWN:
                self.named.append(f"{prediction.file}: {prediction.error}")
            return
        self.answers[prediction.answer] += 1
        self.unsure[prediction.answer] += prediction.unsure

    def show(self) -> None:
        """Prints a row for each class, and one for the unreadable photos."""
        answered, unsure = self.answers.total(), self.unsure.total()
        table = Table(show_footer=True)
        table.add_column("answer", "total")
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
        """Suggests what to do with the predictions, in a sentence or two."""
        answered, unsure = self.answers.total(), self.unsure.total()
        cam_hint = "" if pictures else " cam=DIR draws what the model looked at."
        if 2 * unsure > answered:
            return (
                "Most predictions are unsure: perhaps these photos differ from the training "
                f"photos. Put some of them into train/<class>/ and train again.{cam_hint}"
            )
        if unsure:
            return (
                "Look at the unsure predictions first (column unsure); adding such photos to "
                f"train/<class>/ helps the model most.{cam_hint}"
            )
        return (
            "No prediction is unsure, but that does not make them right: check some, or put some "
            f"into test/<class>/ and run evaluate.{cam_hint}"
        )
