"""``python -m bookcls.fetch``: the real photos of the 2018 study, as a dataset."""

import errno
import shutil
from pathlib import Path

from bookcls import command
from bookcls.config import BOOKS, project_path
from bookcls.errors import BookclsError
from bookcls.fetching.dataset import Dataset
from bookcls.fetching.manifest import CREDIT, EXTRA, REPOSITORY
from bookcls.fetching.settings import FetchConfig
from bookcls.storage.folders import locked


def fetch(config: FetchConfig, _: Path) -> None:
    """Builds the dataset in a temporary folder and then moves it into place.

    Raises:
        BookclsError: For anything that the user can fix.
    """
    dataset = Dataset.from_config(config)
    output = dataset.output
    print(f"{REPOSITORY}: {CREDIT}")
    print(
        f"{EXTRA} is left out: recompressed or rotated copies of training photos, made only to "
        "reach the ten photos per class that an online service requires."
    )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with locked(output, lock_file=output.with_name(f".{output.name}.lock")):
            if dataset.is_complete():
                print(f"{output} is complete: nothing to do.")
                return

            # Imported only if there is something to fetch: pooch and requests take half a second.
            from bookcls.fetching.download import fetch_files, locate

            missing = dataset.missing()
            source = locate(config.source, missing)
            dataset.begin()
            fetch_files(missing, source, dataset.partial, config.size, config.jobs)
            dataset.finish()
    except KeyboardInterrupt:
        raise BookclsError(f"interrupted. {describe_progress(dataset)}") from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        free = shutil.disk_usage(output.parent).free / 1e6
        raise BookclsError(
            f"the disk of {output} is full, {free:.1f} MB are free: free some space. "
            f"{describe_progress(dataset)}"
        ) from error
    where = "data=books" if output == Path(project_path(BOOKS)) else f"data.root={output}"
    print(f"{len(dataset.entries) - 1} photos in {output}. Next: python -m bookcls.train {where}")


def describe_progress(dataset: Dataset) -> str:
    """Describes how many files a fetch that ended early has downloaded."""
    total = len(dataset.entries)
    return (
        f"{total - len(dataset.missing())} of {total} files are in {dataset.partial}; run the "
        "same command again to continue."
    )


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("fetch", FetchConfig, fetch)


if __name__ == "__main__":
    main()
