"""``python -m bookcls.fetch``: the real photos of the 2018 study, as a dataset."""

import errno
import shutil
from pathlib import Path

from bookcls import command
from bookcls.books.manifest import (
    CREDIT,
    EXTRA,
    MANIFEST,
    REPOSITORY,
    Entry,
    blob_sha1,
    companions,
    read_manifest,
)
from bookcls.config import BOOKS, full_path, project_path
from bookcls.errors import BookclsError
from bookcls.fetching import FetchConfig, Record, fetch_files
from bookcls.runs import TEMPORARY, held, write_text


def fetch(config: FetchConfig, _: Path) -> None:
    """Builds the dataset beside its folder and puts it in place as a whole.

    Raises:
        BookclsError: For anything that the user can put right.
    """
    manifest = full_path("manifest", config.manifest) if config.manifest else MANIFEST
    entries = read_manifest(manifest)
    texts = companions(entries, config.size, own_manifest=bool(config.manifest))
    hashes = "\n".join(sorted(f"{e.sha1} {e.stored}" for e in entries))
    settings = {"size": config.size, "manifest": blob_sha1(hashes.encode())}
    output = full_path("output", config.output)
    record = Record(output.with_name(f"{output.name}.partial"), settings)
    print(f"{REPOSITORY}: {CREDIT}")
    print(
        f"{EXTRA} is left out: copies of training photos, re-compressed or turned, that were made "
        "only to reach the ten per class of an online service."
    )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with held(output, beside=output.with_name(f".{output.name}.lock")):
            if is_complete(output, entries, texts, record):
                print(f"{output} is complete: nothing to do.")
                return
            fetch_files(record.load(), record.lacks(entries), config)
            finish(record.folder, output, texts)
    except KeyboardInterrupt:
        raise BookclsError(
            f"interrupted. {len(record.files)} of {len(entries)} files are in {record.folder}; the "
            "same command goes on from there."
        ) from None
    except OSError as error:
        raise disk_error(error, record, entries) from error
    where = "data=books" if output == Path(project_path(BOOKS)) else f"data.root={output}"
    print(f"{len(entries) - 1} photos in {output}. Next: python -m bookcls.train {where}")


def is_complete(output: Path, entries: list[Entry], texts: dict[str, str], record: Record) -> bool:
    """Whether all is there; a finished dataset that lost files becomes an unfinished one again.

    Raises:
        BookclsError: If something else is in the way.
    """
    finished = Record(output, record.settings).load()
    if not finished.files:
        return False
    if not finished.lacks(entries) and all((output / name).is_file() for name in texts):
        return True
    if record.folder.exists():
        raise BookclsError(f"{output} lacks files and {record.folder} exists: delete one of them.")
    print(f"{output} lacks files or has damaged ones: these are fetched again.")
    output.rename(record.folder)
    return False


def finish(partial: Path, output: Path, texts: dict[str, str]) -> None:
    """Adds labels and source, clears what a killed process left, and renames the folder."""
    for name, text in texts.items():
        if not (partial / name).is_file():
            write_text(partial / name, text)
    for path in partial.rglob(".*"):
        if TEMPORARY.fullmatch(path.name):
            path.unlink()
    if output.is_dir():
        output.rmdir()
    partial.rename(output)


def disk_error(error: OSError, record: Record, entries: list[Entry]) -> BookclsError:
    """Says what the file system refused and, on a full disk, how much is needed."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return BookclsError(str(error))
    photos = [record.folder / name for name in record.files if name != "LICENSE"]
    sizes = [path.stat().st_size for path in photos if path.is_file()]
    size = record.settings["size"]
    typical = 2_000_000 if size == "full" else size * size // 5
    needed = (len(entries) - len(record.files)) * (sum(sizes) / len(sizes) if sizes else typical)
    free = shutil.disk_usage(record.folder.parent).free
    return BookclsError(
        f"the disk of {record.folder} is full: {len(record.files)} of {len(entries)} files are "
        f"stored, the others need about {needed / 1e6:.1f} MB more, {free / 1e6:.1f} MB are free. "
        "Make room; the same command goes on from there."
    )


def main() -> None:
    """Runs the verb with the command line of this process."""
    command.verb("fetch", FetchConfig, fetch)


if __name__ == "__main__":
    main()
