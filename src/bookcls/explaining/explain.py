"""Explains every photo with every model: writes figures and tables, and prints a summary."""

from collections.abc import Sequence
from pathlib import Path

from bookcls import runs
from bookcls.data.dataset import read_folder, read_tests
from bookcls.data.images import ImageError, load_image
from bookcls.data.progress import progress
from bookcls.data.samples import Sample, problems_error
from bookcls.errors import BookclsError
from bookcls.explaining import comparison, external, failures, panels, records
from bookcls.explaining.explainer import SHOWN, Explainer
from bookcls.explaining.explanation import Explanation
from bookcls.explaining.external import ExternalAnswer
from bookcls.explaining.records import Record
from bookcls.explaining.resolve import ResolvedSettings, find_earlier_files, safe_names
from bookcls.explaining.settings import SLOW, CamConfig
from bookcls.explaining.sheets import Sheet, concatenate_pictures
from bookcls.explaining.summary import print_summary
from bookcls.storage.folders import refuse_links
from bookcls.training.checkpoint import load_classifier


def list_splits(
    resolved: ResolvedSettings, split: str, class_names: list[str]
) -> dict[str, list[Sample]]:
    """Lists the photos of each split, named as in predictions.csv.

    Raises:
        BookclsError: If the folder cannot be used.
    """
    if resolved.images is not None:
        return {"images": readable(resolved.images)}
    assert resolved.root is not None
    if split == "train":
        folder = read_folder(resolved.root, on_bad="skip", with_tests=False)
        if folder.class_names != class_names:
            raise BookclsError(
                f"{resolved.root / 'train'} has the classes {', '.join(folder.class_names)}; the "
                f"model has {', '.join(class_names)}."
            )
        return {"train": readable(folder.train)}
    problems: list[str] = []
    tests = read_tests(resolved.root, class_names, problems)
    if not tests:
        problems.append("no test photos: put some into test/<class>/ or test_<name>/")
    if problems:
        raise problems_error(resolved.root, problems)
    return {f"test_{name}": samples for name, samples in tests.items()}


def readable(samples: Sequence[Sample]) -> list[Sample]:
    """Returns the readable photos, and prints the names of the others.

    Raises:
        BookclsError: If none is readable.
    """
    good = []
    for sample in samples:
        try:
            load_image(sample.path, size=SHOWN)
            good.append(sample)
        except ImageError as error:
            print(f"left out  {sample.path}: {error}")
    if not good:
        raise BookclsError("none of these photos can be read.")
    return good


def explain(
    config: CamConfig, resolved: ResolvedSettings, answers: dict[str, ExternalAnswer] | None
) -> None:
    """Explains photos, writes everything to ``resolved.output`` and prints a summary.

    Args:
        config: The settings.
        resolved: Checkpoints, photos and folders.
        answers: Predictions of another system, or None.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    explainers = [Explainer(ckpt, load_classifier(ckpt), config) for ckpt in resolved.ckpts]
    first = explainers[0]
    for other in explainers[1:]:
        if other.class_names != first.class_names:
            raise BookclsError(
                f"{other.ckpt} has the classes {', '.join(other.class_names)}, {first.ckpt} "
                f"{', '.join(first.class_names)}: models to compare need the same classes."
            )
    splits = list_splits(resolved, config.data.split, first.class_names)
    total = sum(map(len, splits.values()))
    if config.method in SLOW and next(first.model.parameters()).device.type == "cpu":
        print(
            f"warning: method={config.method} runs the network once per channel: minutes for each "
            f"of {total} photos on a CPU. gradcam takes a second."
        )
    pairs = [(split, sample) for split, samples in splits.items() for sample in samples]
    joined_answers = (
        external.join(answers, pairs, first.class_names) if answers is not None else None
    )
    warnings = (
        external.join_warnings(joined_answers, Path(config.external or ""))
        if joined_answers
        else []
    )
    names = name_checkpoints(resolved.ckpts)
    refuse_overwriting_photos(resolved.output, splits)
    earlier, written, worst = (
        find_earlier_files(resolved.output),
        set[Path](),
        failures.FailureGallery(),
    )
    all_records = explain_all(resolved, explainers, names, splits, worst, written)
    methods = {
        name: describe_maps(explainer) for name, explainer in zip(names, explainers, strict=True)
    }
    head = {
        "made": methods,
        "method": config.method,
        "layer": config.layers,
        "target": config.target,
        "unsure": config.unsure,
        "size": [e.size for e in explainers],
    }
    records.write(resolved.output, all_records, head)
    print_summary(all_records, methods)
    if joined_answers is not None:
        rows = comparison.compare_answers(all_records[names[0]], joined_answers.answers)
        written |= {
            *comparison.draw(
                rows, {(split, s.name): s for split, s in pairs}, first, resolved.output
            ),
            resolved.output / "external.csv",
            resolved.output / "external.json",
        }
        test = comparison.write(rows, warnings, resolved.output)
        for line in [*warnings, *test]:
            print(f"other: {line}")
    if len(explainers) == 1:
        written |= set(draw_gallery(worst, first, resolved))
    for path in earlier - written:
        path.unlink(missing_ok=True)
    print(f"written to  {resolved.output}")


def refuse_overwriting_photos(output: Path, splits: dict[str, list[Sample]]) -> None:
    """Refuses an output folder that contains the photos, or a link.

    Raises:
        BookclsError: If the output folder contains the photos, or a folder in it is a link.
    """
    for split, samples in splits.items():
        refuse_links(output / split, output)
        folder = (output / split).resolve()
        if any(sample.path.resolve().is_relative_to(folder) for sample in samples):
            raise BookclsError(
                f"output={output}: the pictures would be written to {folder}, among the photos. "
                "Give another folder."
            )


def name_checkpoints(ckpts: Sequence[Path]) -> list[str]:
    """Finds the shortest distinct names of checkpoints: the last parts of their paths."""
    if len(ckpts) == 1:
        return [ckpts[0].parent.name]
    paths = [ckpt.parent if ckpt.name == runs.BEST else ckpt.with_suffix("") for ckpt in ckpts]
    for depth in range(1, max(len(path.resolve().parts) for path in paths) + 1):
        names = ["/".join(path.resolve().parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def describe_maps(explainer: Explainer) -> str:
    """Describes in one line how the maps were computed."""
    config = explainer.config
    description = f"{config.method} at {' + '.join(config.layers)}, {explainer.size} px"
    if explainer.size != explainer.image_size:
        description += f" (predictions at {explainer.image_size} px, the size of training)"
    return description


def explain_all(
    resolved: ResolvedSettings,
    explainers: Sequence[Explainer],
    names: Sequence[str],
    splits: dict[str, list[Sample]],
    worst: failures.FailureGallery,
    written: set[Path],
) -> dict[str, list[Record]]:
    """Explains and draws every photo; only plain values stay in memory.

    Args:
        resolved: Folders and batch size.
        explainers: The models.
        names: Names of the models.
        splits: The photos.
        worst: The gallery, which collects the worst predictions.
        written: Paths of the written files are added to it.

    Returns:
        Model -> one record per photo.
    """
    first, output = explainers[0], resolved.output
    records_by_name: dict[str, list[Record]] = {name: [] for name in names}
    methods = "; ".join(dict.fromkeys(describe_maps(explainer) for explainer in explainers))
    for split, samples in splits.items():
        files = safe_names(s.name for s in samples)
        sheet = Sheet(output / f"sheet_{split}.png", f"{split}: {methods}")
        per_photo = zip(
            *(e.explain(split, samples, resolved.root, resolved.batch_size) for e in explainers),
            strict=True,
        )
        for explanations in progress(per_photo, f"Explaining {split}", len(samples)):
            for name, one in zip(names, explanations, strict=True):
                records_by_name[name].append(records.record(one, first.class_names))
            path = output / split / f"{files[explanations[0].sample.name]}.png"
            if len(explanations) > 1:
                figure = panels.draw_comparison(explanations, names, first.class_names, methods)
            else:
                figure = panels.draw(explanations[0], first.class_names, methods)
                worst.add(explanations[0])
            panels.save(figure, path)
            written.add(path)
            add_cell(sheet, explanations, first.class_names)
        sheet.flush()
        written.update(sheet.pages)
    return records_by_name


def add_cell(sheet: Sheet, explanations: Sequence[Explanation], class_names: Sequence[str]) -> None:
    """Adds a photo to the contact sheet: its overlays, then the photo."""
    overlays = [panels.overlay(one.photo, one.heat_maps[one.shown[0]]) for one in explanations]
    captions = [panels.title(one, class_names) for one in explanations]
    empty = [one.heat_maps[one.shown[0]].empty for one in explanations]
    text = " | ".join(
        f"{caption}{' no evidence' if none else ''}"
        for caption, none in zip(captions, empty, strict=True)
    )
    flags = " | ".join(one.flag or "no label" for one in explanations)
    sheet.add(
        concatenate_pictures([*overlays, explanations[0].photo]),
        f"{explanations[0].sample.name}\n{text}\n{flags}",
        panels.INKS[explanations[0].flag] if len(explanations) == 1 else "black",
    )


def draw_gallery(
    worst: failures.FailureGallery, explainer: Explainer, resolved: ResolvedSettings
) -> list[Path]:
    """Draws the gallery of failures, with training photos if available; returns the pages."""
    training = None
    if resolved.root is not None and (resolved.root / "train").is_dir():
        try:
            folder = read_folder(resolved.root, on_bad="skip", with_tests=False)
            if folder.class_names == explainer.class_names and folder.train:
                training = failures.compute_features(
                    explainer, readable(folder.train), resolved.batch_size
                )
        except BookclsError as error:
            print(f"no training photos in failures.png: {error}")
    return failures.draw(worst.kept, training, explainer, resolved.output / "failures.png")
