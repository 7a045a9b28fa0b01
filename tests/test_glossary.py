"""Every word that a table or a note shows has an entry, and each entry leads somewhere."""

import re

import pytest

from bookcls import runs
from bookcls.config import CHECKOUT
from bookcls.explaining.map_scores import FLAGS
from bookcls.explaining.summary import print_summary
from bookcls.predicting.table import open_table
from bookcls.training.console import print_scores

DOCS = CHECKOUT / "docs"
ENTRY = re.compile(r"^- \*\*(.+?)\*\*: .+ \(\[.+?\]\((.+?)\)\)$", re.MULTILINE)
TEXT = (DOCS / "glossary.md").read_text(encoding="utf-8")
ENTRIES = ENTRY.findall(TEXT)
WORDS = [word for words, _ in ENTRIES for word in words.split(", ")]


def explained(said: str) -> bool:
    """Whether a word of the output is one of the glossary's, or is made of one."""
    return any(re.search(rf"\b{re.escape(word)}\b", said, re.IGNORECASE) for word in WORDS)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split("[│┃]", line) if cell.strip()]


def test_every_line_is_an_entry_and_no_word_has_two():
    assert len(ENTRIES) == len(re.findall(r"^- ", TEXT, re.MULTILINE))
    assert sorted(WORDS) == sorted(set(WORDS))


def test_columns_and_notes_of_the_train_table(capsys):
    scores = ["n", "correct", "acc", "ci_low", "ci_high", "floor", "nll", "strict_acc", "strict_n"]
    print_scores({f"test/easy_{name}": 1 for name in scores}, ["easy"], "title")
    lines = capsys.readouterr().out.splitlines()
    columns = cells(lines[2])
    notes = [line.split(":")[0] for line in lines[6:] if line.strip()]
    assert (len(columns), notes) == (7, ["correct", "floor", "strict"])
    assert [word for word in [*columns, *notes] if word not in WORDS] == []


def test_rows_and_notes_of_the_cam_table(capsys):
    record = dict.fromkeys(("inside", "blurred_prob", "area", "same_on_background"))
    photo = {**record, "split": "a_wide_column" * 4, "flag": "right", "empty": 0}
    print_summary({"run": [photo]}, {"run": "gradcam"})
    lines = capsys.readouterr().out.splitlines()
    rows = [cells(line)[0] for line in lines if line.startswith("│")]
    end = next(i for i, line in enumerate(lines) if line.startswith("└"))
    notes = [line.split(":")[0] for line in lines[end + 1 :] if ":" in line]
    assert rows == ["photos", *FLAGS, "no evidence", *notes]
    assert [word for word in rows[1:] if not explained(word)] == []
    assert set(FLAGS) <= set(WORDS)


@pytest.mark.parametrize("table", ["train", "predict"])
def test_columns_of_the_tables(table, tmp_path):
    path = tmp_path / "table.csv"
    if table == "train":
        runs.write_predictions(path, ["a", "b"], {}, {})
    else:
        with open_table(path, ["a", "b"]):
            pass
    columns = path.read_text().strip().split(",")
    columns = [name for name in columns if name not in ("file", "error", "prob_a", "prob_b")]
    assert columns
    assert [name for name in columns if name not in WORDS] == []


@pytest.mark.parametrize(("words", "link"), ENTRIES, ids=[words for words, _ in ENTRIES])
def test_an_entry_leads_to_where_one_of_its_words_is_used(words, link):
    page, _, anchor = link.partition("#")
    text = (DOCS / page).read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
    assert not anchor or anchor in anchors
    assert any(word.lower() in text.lower() for word in words.split(", "))


def test_readme_leads_here():
    assert "(docs/glossary.md)" in (CHECKOUT / "README.md").read_text(encoding="utf-8")
