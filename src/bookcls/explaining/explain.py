"""The whole of the verb: every photo through every model, into pictures, numbers and words."""

from collections.abc import Sequence
from pathlib import Path

from bookcls import runs
from bookcls.data.dataset import read_folder, read_tests
from bookcls.data.images import ImageError, load_image
from bookcls.data.progress import progress
from bookcls.data.samples import Sample, problems_error
from bookcls.errors import BookclsError
from bookcls.explaining import external, failures, panels, records, versus
from bookcls.explaining.chosen import Chosen, earlier, safe_names
from bookcls.explaining.explained import Explained
from bookcls.explaining.explainer import SHOWN, Explainer
from bookcls.explaining.external import ExternalAnswer
from bookcls.explaining.records import Record
from bookcls.explaining.settings import SLOW, CamConfig
from bookcls.explaining.sheets import Sheet, joined
from bookcls.explaining.words import say
from bookcls.files import refuse_links
from bookcls.training.classifier import load_classifier


def photos_of(chosen: Chosen, split: str, class_names: list[str]) -> dict[str, list[Sample]]:
    """Split as in predictions.csv -> its photos.

    Raises:
        BookclsError: If the folder cannot be used.
    """
    if chosen.images is not None:
        return {"images": readable(chosen.images)}
    assert chosen.root is not None
    if split == "train":
        folder = read_folder(chosen.root, on_bad="skip", with_tests=False)
        if folder.class_names != class_names:
            raise BookclsError(
                f"{chosen.root / 'train'} has the classes {', '.join(folder.class_names)}; the "
                f"model knows {', '.join(class_names)}."
            )
        return {"train": readable(folder.train)}
    problems: list[str] = []
    tests = read_tests(chosen.root, class_names, problems)
    if not tests:
        problems.append("no test photos: put them into test/<class>/ or test_<name>/")
    if problems:
        raise problems_error(chosen.root, problems)
    return {f"test_{name}": samples for name, samples in tests.items()}


def readable(samples: Sequence[Sample]) -> list[Sample]:
    """The photos that can be read; each other one is named.

    Raises:
        BookclsError: If none can.
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


def explain(config: CamConfig, chosen: Chosen, answers: dict[str, ExternalAnswer] | None) -> None:
    """Explains photos, writes everything to ``chosen.output`` and prints a summary.

    Args:
        config: The settings.
        chosen: Checkpoints, photos and places.
        answers: Another system's, or None.

    Raises:
        BookclsError: For anything that the user can put right.
    """
    explainers = [Explainer(ckpt, load_classifier(ckpt), config) for ckpt in chosen.ckpts]
    first = explainers[0]
    for other in explainers[1:]:
        if other.class_names != first.class_names:
            raise BookclsError(
                f"{other.ckpt} knows {', '.join(other.class_names)}, {first.ckpt} "
                f"{', '.join(first.class_names)}: only models of the same classes can be compared."
            )
    splits = photos_of(chosen, config.data.split, first.class_names)
    total = sum(map(len, splits.values()))
    if config.method in SLOW and next(first.model.parameters()).device.type == "cpu":
        print(
            f"warning: method={config.method} asks the network once per channel: minutes for each "
            f"of {total} photos on a CPU. gradcam takes a second."
        )
    pairs = [(split, sample) for split, samples in splits.items() for sample in samples]
    beside = external.join(answers, pairs, first.class_names) if answers is not None else None
    doubts = external.complaints(beside, Path(config.external or "")) if beside else []
    names = labels(chosen.ckpts)
    keep_photos(chosen.output, splits)
    before, written, worst = earlier(chosen.output), set[Path](), failures.Worst()
    found = records_of(chosen, explainers, names, splits, worst, written)
    made = {name: how(explainer) for name, explainer in zip(names, explainers, strict=True)}
    head = {
        "made": made,
        "method": config.method,
        "layer": config.layers,
        "target": config.target,
        "unsure": config.unsure,
        "size": [e.size for e in explainers],
    }
    records.write(chosen.output, found, head)
    say(found, made)
    if beside is not None:
        rows = versus.lay(found[names[0]], beside.answers)
        written |= {
            *versus.draw(rows, {(split, s.name): s for split, s in pairs}, first, chosen.output),
            chosen.output / "external.csv",
            chosen.output / "external.json",
        }
        test = versus.write(rows, doubts, chosen.output)
        for line in [*doubts, *test]:
            print(f"other: {line}")
    if len(explainers) == 1:
        written |= set(gallery(worst, first, chosen))
    for path in before - written:
        path.unlink(missing_ok=True)
    print(f"written to  {chosen.output}")


def keep_photos(output: Path, splits: dict[str, list[Sample]]) -> None:
    """Refuses to write pictures over the photos that they explain, or through a link.

    Raises:
        BookclsError: If the output folder holds them, or a folder in it leads elsewhere.
    """
    for split, samples in splits.items():
        refuse_links(output / split, output)
        folder = (output / split).resolve()
        if any(sample.path.resolve().is_relative_to(folder) for sample in samples):
            raise BookclsError(
                f"output={output}: the pictures would go to {folder}, among the photos. Give "
                "another folder."
            )


def labels(ckpts: Sequence[Path]) -> list[str]:
    """Short names that tell checkpoints apart: the ends of their folders' paths."""
    if len(ckpts) == 1:
        return [ckpts[0].parent.name]
    whole = [ckpt.parent if ckpt.name == runs.BEST else ckpt.with_suffix("") for ckpt in ckpts]
    for depth in range(1, max(len(path.resolve().parts) for path in whole) + 1):
        names = ["/".join(path.resolve().parts[-depth:]) for path in whole]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in whole]


def how(explainer: Explainer) -> str:
    """How the maps were made, in a line."""
    config = explainer.config
    asked = f"{config.method} at {' + '.join(config.layers)}, {explainer.size} px"
    if explainer.size != explainer.image_size:
        asked += f" (answers at {explainer.image_size} px, the size of training)"
    return asked


def records_of(
    chosen: Chosen,
    explainers: Sequence[Explainer],
    names: Sequence[str],
    splits: dict[str, list[Sample]],
    worst: failures.Worst,
    written: set[Path],
) -> dict[str, list[Record]]:
    """Explains everything, draws as it goes, and keeps only plain values.

    Args:
        chosen: Places.
        explainers: The models.
        names: Theirs.
        splits: The photos.
        worst: Collects the answers to look at.
        written: Collects the pictures.
    """
    first, output = explainers[0], chosen.output
    found: dict[str, list[Record]] = {name: [] for name in names}
    made = "; ".join(dict.fromkeys(how(explainer) for explainer in explainers))
    for split, samples in splits.items():
        files = safe_names(s.name for s in samples)
        sheet = Sheet(output / f"sheet_{split}.png", f"{split}: {made}")
        together = zip(
            *(e.explain(split, samples, chosen.root, chosen.batch_size) for e in explainers),
            strict=True,
        )
        for several in progress(together, f"Explaining {split}", len(samples)):
            for name, one in zip(names, several, strict=True):
                found[name].append(records.record(one, first.class_names))
            path = output / split / f"{files[several[0].sample.name]}.png"
            if len(several) > 1:
                figure = panels.draw_beside(several, names, first.class_names, made)
            else:
                figure = panels.draw(several[0], first.class_names, made)
                worst.add(several[0])
            panels.save(figure, path)
            written.add(path)
            add_cell(sheet, several, first.class_names)
        sheet.flush()
        written.update(sheet.pages)
    return found


def add_cell(sheet: Sheet, several: Sequence[Explained], class_names: Sequence[str]) -> None:
    """A photo's cell on the contact sheet: overlays, then the photo."""
    lit = [panels.overlay(one.photo, one.heats[one.shown[0]]) for one in several]
    captions = [panels.title(one, class_names) for one in several]
    empty = [one.heats[one.shown[0]].empty for one in several]
    text = " | ".join(
        f"{caption}{' no evidence' if none else ''}"
        for caption, none in zip(captions, empty, strict=True)
    )
    flags = " | ".join(one.flag or "no label" for one in several)
    sheet.add(
        joined([*lit, several[0].photo]),
        f"{several[0].sample.name}\n{text}\n{flags}",
        panels.INKS[several[0].flag] if len(several) == 1 else "black",
    )


def gallery(worst: failures.Worst, explainer: Explainer, chosen: Chosen) -> list[Path]:
    """Draws the failures beside the training photos, where these are at hand; returns the pages."""
    training = None
    if chosen.root is not None and (chosen.root / "train").is_dir():
        try:
            folder = read_folder(chosen.root, on_bad="skip", with_tests=False)
            if folder.class_names == explainer.class_names and folder.train:
                training = failures.place(explainer, readable(folder.train), chosen.batch_size)
        except BookclsError as error:
            print(f"no training photos in failures.png: {error}")
    return failures.draw(worst.kept, training, explainer, chosen.output / "failures.png")
