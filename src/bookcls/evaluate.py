"""``python -m bookcls.evaluate``: test a trained classifier again, or on another folder."""

from pathlib import Path

from bookcls import command, runs
from bookcls.data.dataset import read_tests
from bookcls.data.samples import PhotoFolder
from bookcls.environment import print_loading
from bookcls.settings import EvaluateConfig
from bookcls.storage.files import write_json


def evaluate(config: EvaluateConfig, output: Path) -> None:
    """Tests a checkpoint and writes metrics.json and predictions.csv to ``output``.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    run = runs.open_run(config.ckpt)
    ckpt, root = run.ckpt, run.required_root(config.data.root)
    batch_size = run.batch_size(config.data.batch_size)

    print_loading()
    from bookcls.data.photos import decode_folder
    from bookcls.scoring.advice import advise
    from bookcls.training.baseline import find_baseline
    from bookcls.training.checkpoint import load_classifier
    from bookcls.training.console import print_scores, silence_lightning
    from bookcls.training.testing import make_tests, run_tests

    silence_lightning()
    classifier = load_classifier(ckpt)
    preprocessing = classifier.preprocessing
    problems: list[str] = []
    tests = read_tests(root, classifier.class_names, problems)
    if not tests:
        problems.append("no test photos: put them into test/<class>/ or test_<name>/<class>/")
    folder = PhotoFolder(root, classifier.class_names, [], tests, problems=problems)
    size, fit = preprocessing.image_size, preprocessing.fit
    folder, images = decode_folder(folder, size, fit, "error")
    datamodule = make_tests(classifier, images, folder.tests, batch_size)
    accelerator, rotations = config.trainer.accelerator, config.rotations
    result = run_tests(classifier, datamodule, accelerator=accelerator, rotations=rotations)
    baseline = find_baseline(ckpt.parent, accelerator)
    if baseline is not None:
        result.metrics.update(baseline.metrics(folder.tests, images, result.probs))
    path = output / runs.PREDICTIONS
    runs.write_predictions(path, classifier.class_names, folder.tests, result.probs)
    metrics = {
        **result.metrics,
        "ckpt": str(ckpt.resolve()),
        "data_root": str(root),
        "rotations": rotations,
    }
    write_json(output / runs.METRICS, metrics)
    print_scores(result.metrics, list(folder.tests), f"{ckpt} on {root}")
    for line in advise(classifier.class_names, folder.tests, result.probs, result.metrics):
        print(f"- {line}")
    print(f"written to  {output}")


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("evaluate", EvaluateConfig, evaluate)


if __name__ == "__main__":
    main()
