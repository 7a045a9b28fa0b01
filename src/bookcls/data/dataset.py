"""Reads a dataset from its folders and labels.csv files. No heavy imports."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from bookcls.data.groups import read_groups
from bookcls.data.leavings import Leavings
from bookcls.data.photo_files import explain_other, is_photo
from bookcls.data.samples import (
    EMPTY_SHA256,
    SCORES,
    PhotoFolder,
    Sample,
    find_bad_names,
    list_entries,
    list_photos,
    list_visible,
    make_sample,
)
from bookcls.errors import BookclsError
from bookcls.storage.files import read_csv

LABEL_COLUMNS = ["file", "dominant", "accepted"]


def read_folder(root: Path, *, on_bad: str = "error", with_tests: bool = True) -> PhotoFolder:
    """Reads the structure of a dataset and hashes its files; decodes nothing.

    Args:
        root: Folder with ``train/<class>/*`` and, optionally, ``test_<name>/`` or ``test/``: flat
            with a ``labels.csv`` (file, dominant, accepted; several accepted classes separated by
            ``;``) or with class subfolders.
        on_bad: ``skip`` leaves files that are not images out of training; ``error`` raises.
        with_tests: False opens nothing outside ``train/``.

    Returns:
        The dataset; its ``problems`` are raised together when it is decoded.

    Raises:
        BookclsError: If there is no such folder, or it has fewer than two classes.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise BookclsError(
            f"data.root={root} {what}. Give the folder that contains train/<class>/."
        )
    leavings = Leavings()
    folders = list_entries(root / "train", leavings) if (root / "train").is_dir() else []
    class_dirs = [p for p in folders if p.is_dir()]
    problems = [
        f"{p.relative_to(root)}: a file next to the class folders" for p in folders if p.is_file()
    ]
    if not class_dirs:
        raise BookclsError(
            f"{root} contains no class folders: put the training photos into "
            f"{root / 'train'}/<class>/, one folder per class, or let "
            f"python -m bookcls.init data.root={root} inspect the folder."
        )
    class_names = [p.name for p in class_dirs]
    if len(class_names) == 1:
        raise BookclsError(
            f"{root / 'train'} contains one class, {class_names[0]}: a classifier needs "
            "two or more. If there is only one thing to recognise, add a folder 'background' with "
            "photos without it."
        )
    folder = PhotoFolder(root, class_names, [], {}, problems=problems, leavings=leavings)
    problems += [f"train: {line}" for line in find_bad_names(class_names)]
    for label, class_dir in enumerate(class_dirs):
        photos, rest = list_photos(class_dir, leavings)
        if on_bad == "skip":
            folder.skipped += rest
        else:
            problems += [f"{path.relative_to(root)}: {why}" for path, why in rest]
        if not photos:
            problems.append(f"train/{class_dir.name}: an empty class; add photos or remove it")
        folder.train += [make_sample(p, root / "train", label, (label,)) for p in photos]
    if with_tests:
        folder.tests = read_tests(root, class_names, problems, leavings)
    folder.train = read_groups(root, folder.train, problems)
    problems += [describe_copy(root, *pair) for pair in find_copies(folder)]
    return folder


def find_copies(folder: PhotoFolder) -> list[tuple[Sample, Sample]]:
    """Finds photos that are, byte for byte, in two classes or in both train and test.

    Returns:
        Pairs of a photo and the training photo that it is a copy of.
    """
    first: dict[str, Sample] = {}
    pairs = []
    for sample in folder.train:
        other = first.setdefault(sample.sha256, sample)
        if other.label != sample.label and sample.sha256 != EMPTY_SHA256:
            pairs.append((sample, other))
    for samples in folder.tests.values():
        for sample in samples:
            if sample.sha256 in first and sample.sha256 != EMPTY_SHA256:
                pairs.append((sample, first[sample.sha256]))
    return pairs


def describe_copy(root: Path, sample: Sample, other: Sample) -> str:
    """Describes that two files contain the same photo."""
    paths = (s.path.relative_to(root).as_posix() for s in (sample, other))
    return "{}: the same photo as {}".format(*paths)


def read_tests(
    root: Path, class_names: list[str], problems: list[str], leavings: Leavings | None = None
) -> dict[str, list[Sample]]:
    """Reads the test splits of a dataset.

    Args:
        root: Folder that contains ``test_<name>/`` folders or ``test/``.
        class_names: Class names of the model.
        problems: A line is added for each problem.
        leavings: Counts what is passed over.

    Returns:
        Split name -> photos. A plain ``test/`` is called "test".
    """
    tests = {}
    leavings = leavings or Leavings()
    for folder in list_visible(root):
        if not folder.is_dir() or not (folder.name == "test" or folder.name.startswith("test_")):
            continue
        split = folder.name.removeprefix("test_")
        if not split or split in tests:
            problems.append(f"{folder.name}: give it a unique name, test_<name>")
            continue
        if (folder / "labels.csv").is_file():
            tests[split] = read_flat_test(folder, root, class_names, problems, leavings)
        else:
            tests[split] = read_class_test(folder, root, class_names, problems, leavings)
        if not tests[split]:
            problems.append(f"{folder.name}: no photos with labels; add some or remove the folder")
    problems += [
        f"test_{second}: rename this folder: it and test_{first} would both write test/{key} "
        "to metrics.json"
        for first, second, key in find_key_clashes(list(tests))
    ]
    return tests


def find_key_clashes(splits: Sequence[str]) -> list[tuple[str, str, str]]:
    """Finds pairs of test splits whose scores would overwrite each other in metrics.json.

    Returns:
        The two names, the one to change last, and a key that both would write.

    Example:
        >>> find_key_clashes(["easy", "easy_strict", "easy_2"])
        [('easy', 'easy_strict', 'easy_strict_acc')]
    """
    keys = {split: [f"{split}_{score}" for score in SCORES] for split in splits}
    pairs = combinations(sorted(splits, key=len), 2)
    clashes = ((a, b, [key for key in keys[a] if key in keys[b]]) for a, b in pairs)
    return [(a, b, shared[0]) for a, b, shared in clashes if shared]


def read_class_test(
    folder: Path, root: Path, class_names: list[str], problems: list[str], leavings: Leavings
) -> list[Sample]:
    """Reads a test split with a subfolder per class."""
    samples = []
    for entry in list_entries(folder, leavings):
        if not entry.is_dir():
            problems.append(
                f"{entry.relative_to(root)}: a file next to class folders; a flat test folder "
                "needs a labels.csv (file,dominant,accepted)"
            )
        elif entry.name not in class_names:
            problems.append(
                f"{entry.relative_to(root)}: there is no training class {entry.name}; the classes "
                f"are {', '.join(class_names)}"
            )
        else:
            label = class_names.index(entry.name)
            photos, rest = list_photos(entry, leavings)
            problems += [f"{path.relative_to(root)}: {why}" for path, why in rest]
            samples += [make_sample(p, folder, label, (label,)) for p in photos]
    return samples


def read_flat_test(
    folder: Path, root: Path, class_names: list[str], problems: list[str], leavings: Leavings
) -> list[Sample]:
    """Reads a flat test split with its ``labels.csv``."""
    here = f"{folder.name}/labels.csv"
    try:
        rows = read_csv(folder / "labels.csv", LABEL_COLUMNS)
    except BookclsError as error:
        problems.append(f"{here}: {error}")
        return []
    entries = [p for p in list_entries(folder, leavings) if p.name != "labels.csv"]
    on_disk = {p.name: p for p in entries}
    samples, seen = [], Counter[str]()
    for number, row in rows:
        values = {key: (row[key] or "").strip() for key in LABEL_COLUMNS}
        name = values["file"]
        if None in row or not name:
            problems.append(f"{here} line {number}: needs three columns, file,dominant,accepted")
            continue
        seen[name] += 1
        accepted = [a.strip() for a in values["accepted"].split(";") if a.strip()]
        unknown = [c for c in [values["dominant"], *accepted] if c and c not in class_names]
        if unknown:
            problems.append(
                f"{here} line {number}: there is no training class "
                f"{' or '.join(sorted(set(unknown)))}; the classes are {', '.join(class_names)}"
            )
        elif not accepted:
            problems.append(f"{here} line {number}: no accepted class for {name}")
        elif values["dominant"] and values["dominant"] not in accepted:
            problems.append(
                f"{here} line {number}: {name}'s dominant class {values['dominant']} is not among "
                "its accepted ones"
            )
        elif name not in on_disk:
            problems.append(f"{here} line {number}: there is no file {folder.name}/{name}")
        elif seen[name] == 1:
            label = class_names.index(values["dominant"]) if values["dominant"] else -1
            indices = {class_names.index(a) for a in accepted}
            samples.append(make_sample(on_disk[name], folder, label, indices))
    problems += [f"{here}: {name} is in {n} rows" for name, n in seen.items() if n > 1]
    for name, path in on_disk.items():
        if path.is_dir():
            problems.append(f"{path.relative_to(root)}: not an image, but a folder")
        elif not is_photo(path):
            problems.append(f"{path.relative_to(root)}: {explain_other(path)}")
        elif name not in seen:
            problems.append(f"{path.relative_to(root)}: has no row in {here}")
    return samples
