"""What stands behind DVC's pointers, found where DVC keeps it: its cache, its remotes, the work tree.

A pointer names bytes by MD5. They are read once, verified by it, and taken into the store by their SHA-256;
which SHA-256 a pointer stands for is remembered.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from configparser import ConfigParser, Error

from ciml.adapters import files
from ciml.adapters.stores.local import LocalStore
from ciml.adapters.stores.objects import Objects
from ciml.adapters.stores.session import Session
from ciml.core import key, listing
from ciml.core.errors import ConfigurationError, IntegrityError, RepositoryError, StageError
from ciml.core.ids import Digest, RepoPath
from ciml.core.listing import Entry
from ciml.core.manifest import Manifest
from ciml.core.pointer import PointedFile, directory_files, directory_list, object_names
from ciml.core.results import Output
from ciml.core.s3 import SCHEME, S3Address, s3_address

_PIECE = 1 << 20
_DIR = ".dir"
_VARIABLES = {"endpointurl": "AWS_ENDPOINT_URL_S3", "region": "AWS_REGION", "profile": "AWS_PROFILE"}
"""What DVC's configuration says of a remote in S3 -> the variable that says it to AWS's tools."""


class DvcPointers:
    """The pointers of one work tree.

    Args:
        root: of the work tree.
        store: where bytes go.
        environ: where credentials for a remote in S3 come from.
        known: digest of a pointer -> what it stands for; filled here.
    """

    def __init__(self, root: str, store: LocalStore, environ: Mapping[str, str], known: dict[Digest, Output]) -> None:
        self._root = root
        self._store = store
        self._known = known
        self._session = Session(store.root)
        self._objects = Objects(store.root, self._session)
        self._places = _Places(root, environ)

    def part(self, manifest: Manifest, inside: str) -> Output | None:
        """What lies at a path below a pointer's directory, by the list alone; None where nothing does.

        Its digest is made from MD5s, as the pointer's is: the same before and after the bytes were seen.

        Raises:
            RepositoryError: the list is in no cache or remote.
        """
        found = _below(self._listed(manifest), inside)
        if not found:
            return None
        lines = [(file.path.decode()[len(inside) :], file.md5) for file in found]
        return Output(
            path=RepoPath(f"{manifest.path}/{inside}"),
            digest=key.digest("ciml/dvc-part/1", lines),
            size=0,
            files=len(found),
            directory=found[0].path != inside.encode(),
        )

    def known(self, pointer: Digest) -> Output | None:
        """What a pointer stands for, where its bytes were seen before."""
        return self._known.get(_known_as(pointer, ""))

    def recognised(self, manifest: Manifest, found: Output) -> Output | None:
        """What a pointer stands for, where that is known or is what lies in the work tree; None where it is neither.

        Args:
            manifest: the pointer.
            found: what lies in the work tree; its MD5s are computed, once for what they turn out to be.
        """
        known = self.known(manifest.digest)
        if known is None and self._md5_on_disk(manifest) == manifest.md5:
            known = self._known[_known_as(manifest.digest, "")] = found
        return known

    def _md5_on_disk(self, manifest: Manifest) -> str:
        top = f"{self._root}/{manifest.path}"
        if not manifest.directory:
            return _md5_of(top) if os.path.isfile(top) else ""
        below = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
        listed = [
            PointedFile(path=os.fsencode(os.path.relpath(path, top)), md5=_md5_of(path))
            for path in below
            if os.path.isfile(path)
        ]
        return hashlib.md5(directory_list(listed), usedforsecurity=False).hexdigest() + _DIR

    def bring(self, manifest: Manifest, part: str = "") -> Output:
        """What a pointer stands for, or a part of it, in the store from now on, verified by its MD5.

        Raises:
            RepositoryError: it is in no cache, remote or work tree.
            IntegrityError: what lies there has another MD5.
        """
        name = _known_as(manifest.digest, part)
        known = self._known.get(name)
        if known is not None and self._store.has(known):
            return known
        try:
            output = (
                self._directory(manifest, part) if manifest.directory else self._file(_md5(manifest), manifest, b"")
            )
        finally:
            self._session.close()
        self._known[name] = output
        return output

    def _directory(self, manifest: Manifest, part: str) -> Output:
        found = _below(self._listed(manifest), part)
        if part and [file.path for file in found] == [part.encode()]:
            return self._file(found[0].md5, manifest, found[0].path)
        entries = self._entries(found, manifest, len(part) + 1 if part else 0)
        return self._store.put_listing(entries, name=manifest.path)

    def _listed(self, manifest: Manifest) -> list[PointedFile]:
        listed = self._store.read(self._file(_md5(manifest), manifest, None).digest)
        return directory_files(listed, f"the list of {manifest.path}")

    def _entries(self, found: Iterable[PointedFile], manifest: Manifest, cut: int) -> Iterator[Entry]:
        for file in found:
            output = self._file(file.md5, manifest, file.path)
            yield Entry(path=file.path[cut:], mode=listing.FILE, digest=output.digest, size=output.size)

    def _file(self, md5: str, manifest: Manifest, below: bytes | None) -> Output:
        """The file of that MD5; `below` is where it lies in the data, None for what only DVC has."""
        for path in (self._places.cached(name) for name in object_names(md5)):
            if os.path.isfile(path):
                return self._taken(os.path.realpath(path), md5, manifest)
        if below is not None and (own := self._of_work_tree(md5, manifest, os.fsdecode(below))) is not None:
            return own
        fetched = self._places.fetch(md5, lambda pieces: self._arrived(pieces, md5, manifest))
        if fetched is None:
            raise self._nowhere(md5, manifest)
        return fetched

    def _of_work_tree(self, md5: str, manifest: Manifest, below: str) -> Output | None:
        """The file that lies in the work tree; None where there is none, or another version of it."""
        path = f"{self._root}/{manifest.path}/{below}".rstrip("/")
        try:
            return self._taken(os.path.realpath(path), md5, manifest) if os.path.isfile(path) else None
        except IntegrityError:
            return None

    def _taken(self, path: str, md5: str, manifest: Manifest) -> Output:
        try:
            output = self._store.put_path(path, name=manifest.path)
        except StageError as error:
            raise RepositoryError(error.message, hint=error.hint) from error
        self._verify(output.digest, md5, path)
        return output

    def _arrived(self, pieces: Iterator[bytes], md5: str, manifest: Manifest) -> Output:
        unfinished = self._session.new()
        try:
            with open(unfinished, "xb") as file:
                for piece in pieces:
                    file.write(piece)
            return self._taken(unfinished, md5, manifest)
        finally:
            files.discard(unfinished)

    def _verify(self, digest: Digest, md5: str, where: str) -> None:
        """Hold the store's own copy, which nobody can change any more, against the MD5."""
        hashed, plain = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False)
        with open(self._objects.open(digest), "rb") as file:
            while piece := file.read(_PIECE):
                hashed.update(piece)
                # Before version 3, DVC counted line ends of text files as one byte.
                plain.update(piece.replace(b"\r\n", b"\n"))
        if md5.removesuffix(_DIR) not in (hashed.hexdigest(), plain.hexdigest()):
            raise IntegrityError(
                f"{where} is damaged or was edited: its MD5 is {hashed.hexdigest()}, and DVC's pointer says {md5}",
                hint="`dvc fetch` gets it anew; `dvc add` takes an edit.",
            )

    def _nowhere(self, md5: str, manifest: Manifest) -> RepositoryError:
        asked = ", ".join(self._places.asked())
        return RepositoryError(
            f"the data {manifest.path} is not here: {manifest.file} names {md5}, which is in none of {asked}",
            hint="Where it is: `dvc push`. Here: `dvc pull`, if its remote is none that ciml can read.",
        )


def _known_as(pointer: Digest, part: str) -> Digest:
    return key.digest("ciml/dvc-known/1", pointer, part)


def _md5_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _md5(manifest: Manifest) -> str:
    assert manifest.md5 is not None, f"{manifest.file} is no pointer"
    return manifest.md5


def _below(found: list[PointedFile], part: str) -> list[PointedFile]:
    """The files at or below a path of a directory."""
    inside = part.encode()
    return [file for file in found if not part or file.path == inside or file.path.startswith(inside + b"/")]


class _Places:
    """Where DVC keeps objects: the cache, and the default remote if that is a folder or in S3."""

    def __init__(self, root: str, environ: Mapping[str, str]) -> None:
        self._folder = f"{root}/.dvc"
        self._environ = environ
        self._config = _config(self._folder)
        cache = self._config.get("cache", {}).get("dir", "cache")
        self._cache = os.path.normpath(os.path.join(self._folder, cache))

    def cached(self, name: str) -> str:
        """Where an object would lie in the cache."""
        return f"{self._cache}/{name}"

    def asked(self) -> list[str]:
        """The places, for people."""
        url = self._remote().get("url")
        return [self._cache, *([url] if url else []), "the work tree"]

    def fetch(self, md5: str, take: Callable[[Iterator[bytes]], Output]) -> Output | None:
        """What `take` makes of an object's bytes from the remote; None where it has none, or there is no remote."""
        remote = self._remote()
        url = remote.get("url", "")
        if url.startswith(SCHEME):
            return self._from_s3(url, remote, md5, take)
        if not url or "://" in url:
            return None
        folder = os.path.normpath(os.path.join(self._folder, os.path.expanduser(url)))
        for name in object_names(md5):
            try:
                with open(f"{folder}/{name}", "rb") as file:
                    return take(iter(lambda: file.read(_PIECE), b""))
            except FileNotFoundError:
                continue
        return None

    def _from_s3(
        self, url: str, remote: Mapping[str, str], md5: str, take: Callable[[Iterator[bytes]], Output]
    ) -> Output | None:
        from ciml.adapters.stores.bucket import Bucket

        address = s3_address(url)
        environ = {**self._environ}
        for setting, variable in _VARIABLES.items():
            if remote.get(setting):
                environ[variable] = remote[setting]
        bucket = Bucket(S3Address(bucket=address.bucket, key=address.key), environ)
        for name in object_names(md5):
            answer = bucket.open(name)
            if answer is not None:
                return take(answer.pieces())
        return None

    def _remote(self) -> Mapping[str, str]:
        name = self._config.get("core", {}).get("remote", "")
        return self._config.get(f'remote "{name}"', {})


def _config(folder: str) -> dict[str, dict[str, str]]:
    """The sections of DVC's configuration; those of `config.local` come on top."""
    sections: dict[str, dict[str, str]] = {}
    for file in ("config", "config.local"):
        parser = ConfigParser(interpolation=None)
        try:
            parser.read(f"{folder}/{file}", encoding="utf-8")
        except (Error, UnicodeDecodeError) as error:
            raise ConfigurationError(f".dvc/{file} cannot be read: {error}") from error
        for section in parser.sections():
            sections.setdefault(section.strip("'"), {}).update(parser[section])
    return sections
