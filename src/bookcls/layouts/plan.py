"""Plans where each file goes in the new layout."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from bookcls.data.groups import read_groups
from bookcls.data.samples import PhotoFolder, Sample, make_sample, problems_error, split_train_val
from bookcls.errors import BookclsError
from bookcls.layouts.source import Photo, SourceDataset


@dataclass
class Plan:
    """The layout of the new dataset.

    Attributes:
        class_names: Sorted.
        files: Place below the new folder, with forward slashes -> file that goes there.
        taken: The places of photos, case-folded.
        groups: Training photo, by its new place -> name of its group.
    """

    class_names: list[str]
    files: dict[str, Path] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    groups: dict[str, str] = field(default_factory=dict)

    def count(self, split: str, name: str) -> int:
        """Photos of a class in a split's folder."""
        return sum(place.startswith(f"{split}/{name}/") for place in self.files)

    @property
    def splits(self) -> list[str]:
        """Folders of splits, train first."""
        names = dict.fromkeys(place.partition("/")[0] for place in self.files)
        return sorted(names, key=lambda name: (name != "train", name))


def make_plan(found: SourceDataset, test_fraction: float, burst_seconds: float, seed: int) -> Plan:
    """Gives every photo its place.

    Args:
        found: The existing dataset.
        test_fraction: Share of each class to hold out for testing.
        burst_seconds: Photos of one camera taken at most this far apart stay together, like copies,
            near-duplicates and photos of a group.
        seed: Decides which photos are held out.

    Raises:
        BookclsError: If nothing can be held out.
    """
    plan = Plan(found.class_names)
    tests = dict(found.tests)
    train = read_training_photos(found)
    if test_fraction:
        if tests or found.labelled:
            raise BookclsError(
                f"test_fraction={test_fraction} holds out test photos, but {found.root} has some "
                f"({', '.join([*tests, *(p.name for p in found.labelled)])}): leave it out."
            )
        train = group_similar(found, train, burst_seconds)
        train, held = hold_out(train, found.class_names, test_fraction, seed)
        tests["test"] = [Photo(s.path, found.class_names[s.label]) for s in held]
    for sample in train:
        photo = Photo(sample.path, found.class_names[sample.label])
        place = place_photo(plan, "train", photo, found.root)
        if sample.group:
            plan.groups[place] = sample.group
    for split, photos in tests.items():
        for photo in photos:
            place_photo(plan, split, photo, found.root)
    for folder in found.labelled:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            plan.files[path.relative_to(found.root).as_posix()] = path
    # A group with a single photo has no effect.
    names = list(plan.groups.values())
    plan.groups = {place: g for place, g in plan.groups.items() if names.count(g) > 1}
    return plan


def read_training_photos(found: SourceDataset) -> list[Sample]:
    """Reads the training photos, with the groups given by the user.

    Raises:
        BookclsError: If groups.csv is wrong.
    """
    base = found.train_folder or found.root
    samples = []
    for photo in found.train:
        # A csv file may name photos from anywhere.
        inside = photo.path.is_relative_to(base)
        label = found.class_names.index(photo.label)
        below = base if inside else Path(photo.path.anchor)
        samples.append(make_sample(photo.path, below, label, (label,)))
    if found.train_folder is None:
        return samples
    problems: list[str] = []
    samples = read_groups(found.root, samples, problems)
    if problems:
        raise problems_error(found.root, problems)
    return samples


def group_similar(found: SourceDataset, train: Sequence[Sample], seconds: float) -> list[Sample]:
    """Groups near-duplicates and bursts among the training photos."""
    from bookcls.checking.duplicates import find_similar
    from bookcls.checking.inspection import inspect_photos

    folder = PhotoFolder(found.root, found.class_names, list(train), {})
    infos, _ = inspect_photos(folder)
    _, groups = find_similar(infos, seconds)
    return [replace(s, group=groups.get(f"train/{s.name}", s.group)) for s in train]


def hold_out(
    train: Sequence[Sample], class_names: Sequence[str], test_fraction: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Training part and test part.

    Raises:
        BookclsError: If a class has too few photos.
    """
    try:
        return split_train_val(train, class_names, test_fraction, seed)
    except BookclsError as error:
        few = str(error).partition(",")[0]
        raise BookclsError(
            f"test_fraction={test_fraction}: {few}, so none can be held out for testing: add "
            "photos, or leave test_fraction out."
        ) from error


def place_photo(plan: Plan, split: str, photo: Photo, root: Path) -> str:
    """Gives a photo a place that is unique on any file system."""
    place = f"{split}/{photo.label}/{photo.path.name}"
    if place.casefold() in plan.taken:
        inside = photo.path.relative_to(root) if photo.path.is_relative_to(root) else photo.path
        place = f"{split}/{photo.label}/{'_'.join(inside.parts[-4:]).strip('/')}"
    path, number = PurePosixPath(place), 2
    while place.casefold() in plan.taken:
        place = str(path.with_stem(f"{path.stem}_{number}"))
        number += 1
    plan.taken.add(place.casefold())
    plan.files[place] = photo.path
    return place
