"""Reports the layout of a folder of photos, and converts it if an output folder is given."""

import shlex
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bookcls.config import refuse_inside
from bookcls.data.samples import list_visible
from bookcls.environment import python_command
from bookcls.errors import BookclsError
from bookcls.layouts.plan import Plan, make_plan
from bookcls.layouts.recognise import recognise
from bookcls.layouts.settings import FOLDERS, InitConfig
from bookcls.layouts.source import SourceDataset
from bookcls.layouts.unused import print_unused
from bookcls.layouts.write import write_empty, write_plan


def adopt(config: InitConfig, root: Path, output: Path | None, labels: Path | None) -> None:
    """Makes an empty layout, or converts the existing photos.

    Args:
        config: The settings.
        root: The user's folder.
        output: The new folder; None only reports what would be done.
        labels: A csv file with the classes.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    if not root.exists() or not list_visible(root):
        make_empty_layout(config, root)
        return
    if output is not None:
        refuse_output(root, output)
    found = recognise(
        root,
        labels,
        config.classes,
        config.label_column,
        by_folders=config.labels == FOLDERS,
    )
    plan = make_plan(found, config.test_fraction, config.burst_seconds, config.seed)
    print_plan(found, plan)
    if output is not None:
        write_plan(plan, output, config.files)
        print(f"written to  {output} ({config.files}; {root} is as it was)")
        print_next(output)
    elif found.is_ready and not config.test_fraction:
        print("This is the layout that training reads: nothing to do.")
        print_next(found.root)
    else:
        words = [f"{k}={v}" for k, v in changed_settings(config).items()]
        name = shlex.quote(str(root.with_name(f"{root.name}_bookcls")))
        print("Nothing was written. Into a new folder, leaving these files as they are:")
        line = " ".join([python_command(), "-m bookcls.init", *map(shlex.quote, words)])
        print(f"  {line} output={name}")
        if not has_tests(found) and not config.test_fraction:
            print("  add test_fraction=0.2 to hold out a fifth of each class for testing")


def changed_settings(config: InitConfig) -> dict[str, object]:
    """Settings that differ from the defaults, for the command that is printed."""
    plain = InitConfig(config.data)
    names = ("labels", "label_column", "classes", "test_fraction", "burst_seconds", "seed", "files")
    changed = {n: getattr(config, n) for n in names if getattr(config, n) != getattr(plain, n)}
    return {"data.root": config.data.root, **changed}


def has_tests(found: SourceDataset) -> bool:
    """Whether there are test photos."""
    return bool(found.tests or found.labelled)


def make_empty_layout(config: InitConfig, root: Path) -> None:
    """Makes the layout in an empty or absent folder.

    Raises:
        BookclsError: If a setting is given that needs photos, or the folder is missing and no
            classes are named.
    """
    needless = [name for name in changed_settings(config) if name not in ("data.root", "classes")]
    needless += ["output"] if config.output is not None else []
    if needless:
        raise BookclsError(
            f"{root} {'is empty' if root.exists() else 'does not exist'}, so there is nothing to "
            f"take over: leave out {', '.join(needless)} to make an empty layout there, or give "
            "the data.root that holds your photos."
        )
    if not root.exists() and not config.classes:
        raise BookclsError(
            f"data.root={config.data.root}: there is no such folder. To make one with empty "
            "folders to fill, add the names of your classes: classes=[cat,dog,background]."
        )
    lines = write_empty(root, config.classes)
    print(f"made  {root}")
    for line in lines:
        print(f"  {line}")
    print_next(root, before="put your photos in, then")


def refuse_output(root: Path, output: Path) -> None:
    """Refuses an output folder that is not empty, or is among the photos.

    Raises:
        BookclsError: If it is.
    """
    refuse_inside(output, root)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BookclsError(f"output={output} exists and is not an empty folder: give a new one.")


def print_plan(found: SourceDataset, plan: Plan) -> None:
    """Prints what was recognised, and how many photos go where."""
    console = Console(highlight=False)
    console.print(f"{found.root}: {found.kind}", markup=False, soft_wrap=True)
    flat = {folder.name for folder in found.labelled}
    splits = [split for split in plan.splits if split not in flat]
    table = Table("class", *(f"{split}/" for split in splits))
    for column in table.columns[1:]:
        column.justify = "right"
    for name in plan.class_names:
        table.add_row(escape(name), *(str(plan.count(split, name)) for split in splits))
    console.print(table)
    for folder in found.labelled:
        print(f"{folder.name}/ with its labels.csv is used as it is")
    num_groups = len(set(plan.groups.values()))
    if num_groups:
        print(f"groups.csv keeps {len(plan.groups)} photos together, in {num_groups} groups")
    for line in found.notes:
        console.print(line, markup=False, soft_wrap=True)
    print_unused(console, found)


def print_next(root: Path, before: str = "next") -> None:
    """Prints the two commands to run next."""
    place = shlex.quote(str(root))
    print(before)
    print(f"  {python_command()} -m bookcls.check data.root={place}")
    print(f"  {python_command()} -m bookcls.train experiment=laptop data=folder data.root={place}")
