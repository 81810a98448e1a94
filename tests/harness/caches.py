"""actions/cache: what is kept between runs, readable from the same ref, the base's and the default branch's.

A restored folder is a link to what was kept, since copying an environment takes longer than all else;
whatever is saved is moved there, and its own place becomes a link too: on a hosted machine the path is
the same in every job, and an environment holds its own path.

Source: README of actions/cache.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path

from tests.harness.call import Call
from tests.harness.job import SUCCESS


class Caches:
    """What is kept.

    Args:
        folder: where; runs of several repositories and sessions may share it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hits: list[str] = []
        self.misses: list[str] = []
        self.saved: list[str] = []
        self.guard = threading.RLock()
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, key: str, prefixes: list[str], paths: str, refs: list[str]) -> tuple[str, Path] | None:
        """The key that was found, and what is kept under it: the key itself, else the newest with a prefix."""
        for wanted in (key, *prefixes):
            for ref in refs:
                scope = self._scope(ref, paths)
                exact = [entry for entry in scope.glob("*/key") if entry.read_text() == wanted]
                like = [entry for entry in scope.glob("*/key") if entry.read_text().startswith(wanted)]
                newest = max(exact or like, key=lambda entry: entry.stat().st_mtime_ns, default=None)
                if newest is not None:
                    return newest.read_text(), newest.parent
        return None

    def keep(self, key: str, paths: str, ref: str, places: list[Path]) -> bool:
        """Move what lies in these places into the cache; False where the key is there already."""
        entry = self._scope(ref, paths) / _name(key)
        if entry.exists():
            return False
        entry.mkdir(parents=True)
        for number, place in enumerate(places):
            if place.is_symlink() or not place.exists():
                continue
            shutil.move(place, entry / str(number))
            place.symlink_to(entry / str(number))
        (entry / "key").write_text(key)
        self.saved.append(key)
        return True

    def _scope(self, ref: str, paths: str) -> Path:
        return self._folder / _name(ref) / _name(paths)


def _name(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def restore(call: Call) -> None:
    """Bring what is kept under a key."""
    key, paths = call.required("key"), _written(call)
    caches = call.job.run.hub.caches
    prefixes = [line.strip() for line in call.inputs.get("restore-keys", "").splitlines() if line.strip()]
    refs = list(dict.fromkeys((call.job.run.github["ref"], *call.job.run.cache_refs)))
    with caches.guard:
        found = caches.find(key, prefixes, paths, refs)
        (caches.hits if found and found[0] == key else caches.misses).append(key)
    call.step.outputs["cache-primary-key"] = key
    if found is None:
        call.step.outputs["cache-hit"] = ""
        return
    for number, place in enumerate(_places(call)):
        kept = found[1] / str(number)
        if kept.exists() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(kept)
    call.step.outputs |= {"cache-hit": str(found[0] == key).lower(), "cache-matched-key": found[0]}


def save(call: Call) -> None:
    """Keep what lies in the paths under a key."""
    caches = call.job.run.hub.caches
    with caches.guard:
        caches.keep(call.required("key"), _written(call), call.job.run.github["ref"], _places(call))


def cache(call: Call) -> None:
    """Restore now; save when the job has ended well and the key was not there."""
    restore(call)
    if call.step.outputs["cache-hit"] != "true":
        call.job.post.append(lambda: save(call) if call.job.status == SUCCESS else None)


def _places(call: Call) -> list[Path]:
    return [call.path(line.strip()) for line in call.required("path").splitlines() if line.strip()]


def _written(call: Call) -> str:
    """The paths as they would be on any machine: every one has its folders in the same place."""
    machine, paths = call.job.machine, call.required("path")
    for name in ("temp", "home", "tools", "workspace"):
        paths = paths.replace(str(getattr(machine, name)), f"<{name}>")
    return paths
