"""Builds the dataset in a temporary folder, and moves it into place when complete."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bookcls.config import full_path
from bookcls.errors import BookclsError
from bookcls.fetching.manifest import MANIFEST, Entry, blob_sha1, make_texts, read_manifest
from bookcls.fetching.settings import FetchConfig
from bookcls.storage.files import TEMPORARY, read_json, write_json, write_text
from bookcls.storage.folders import refuse_links

RECORD = "fetched.json"
LEFTOVER = re.compile(rf"{TEMPORARY.pattern}|tmp\w{{8}}")
"""Temporary files left by a process that was killed: ours, and pooch's."""


def hash_files(folder: Path, entries: list[Entry]) -> dict[str, str]:
    """Path in the dataset -> git hash, of the files that are there."""
    names = [e.stored for e in entries if (folder / e.stored).is_file()]
    return {name: blob_sha1((folder / name).read_bytes()) for name in names}


@dataclass(frozen=True)
class Dataset:
    """The folder to build.

    Attributes:
        output: Folder of the finished dataset.
        entries: Its files.
        texts: Path in the dataset -> text of its other files.
        settings: What the stored files depend on; kept in the folder, in fetched.json.
    """

    output: Path
    entries: list[Entry]
    texts: dict[str, str]
    settings: dict[str, Any]

    @classmethod
    def from_config(cls, config: FetchConfig) -> "Dataset":
        """Makes the dataset of conf/fetch.yaml.

        Raises:
            BookclsError: If the manifest cannot be used.
        """
        manifest = full_path("manifest", config.manifest) if config.manifest else MANIFEST
        entries = read_manifest(manifest)
        texts = make_texts(entries, config.size, own_manifest=bool(config.manifest))
        hashes = "\n".join(sorted(f"{e.sha1} {e.stored}" for e in entries))
        settings = {"size": config.size, "manifest": blob_sha1(hashes.encode())}
        return cls(full_path("output", config.output), entries, texts, settings)

    @property
    def partial(self) -> Path:
        """Where the dataset is built."""
        return self.output.with_name(f"{self.output.name}.partial")

    def missing(self) -> list[Entry]:
        """Files that are still to be fetched: existing files are complete."""
        return [e for e in self.entries if not (self.partial / e.stored).is_file()]

    def read_record(self, folder: Path) -> dict[str, str] | None:
        """Reads the record of a folder.

        Returns:
            Path in the dataset -> git hash of the stored file; empty while it is built. None if the
            folder is empty or missing.

        Raises:
            BookclsError: If something else made the folder, or a fetch with other settings.
        """
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return None
        if not (folder / RECORD).is_file():
            raise BookclsError(
                f"{folder} exists and was not made by bookcls.fetch: move it away, or give "
                "output=DIR."
            )
        saved = read_json(folder / RECORD)
        files = saved.pop("files", {})
        if saved != self.settings or not isinstance(files, dict):
            raise BookclsError(
                f"{folder} was fetched with size={saved.get('size')} or by another manifest: "
                "fetch with the same settings, delete it, or give output=DIR."
            )
        return files

    def is_complete(self) -> bool:
        """Whether all files are there and undamaged.

        A finished dataset with lost or damaged files becomes an unfinished one again.

        Raises:
            BookclsError: If another file or folder is in the way.
        """
        hashes = self.read_record(self.output)
        if hashes is None:
            return False
        present = hash_files(self.output, self.entries)
        damaged = [name for name, sha1 in present.items() if hashes.get(name) != sha1]
        names = [e.stored for e in self.entries] + list(self.texts)
        if not damaged and all((self.output / name).is_file() for name in names):
            return True
        if self.partial.exists():
            raise BookclsError(
                f"{self.output} lacks files and {self.partial} exists: delete one of them."
            )
        refuse_links(self.output)
        print(f"{self.output} has missing or damaged files: fetching them again.")
        for name in damaged:
            (self.output / name).unlink()
        self.output.rename(self.partial)
        return False

    def begin(self) -> None:
        """Makes the folder in which the dataset is built, or continues with an existing one.

        Raises:
            BookclsError: If another file or folder is in the way.
        """
        refuse_links(self.partial)
        if self.read_record(self.partial) is None:
            write_json(self.partial / RECORD, self.settings)

    def finish(self) -> None:
        """Adds the texts and the record, removes leftovers, and moves the folder into place."""
        for name, text in self.texts.items():
            if not (self.partial / name).is_file():
                write_text(self.partial / name, text)
        hashes = {e.stored: blob_sha1((self.partial / e.stored).read_bytes()) for e in self.entries}
        write_json(self.partial / RECORD, {**self.settings, "files": hashes})
        for path in self.partial.rglob("*"):
            if LEFTOVER.fullmatch(path.name):
                path.unlink()
        if self.output.is_dir():
            self.output.rmdir()
        self.partial.rename(self.output)
