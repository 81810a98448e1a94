"""Git as a process, with everything turned off that would run a program the repository names."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

from ciml.core.errors import CimlError, RepositoryError, ServiceError, TrustError
from ciml.core.url import without_secrets

OLDEST = (2, 29)

# A `.git/config` may come with an archive; these keys of it would start programs.
HARDENED = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.sshCommand": "ssh",
    "core.gitProxy": "",
    "core.alternateRefsCommand": "true",
    "core.askPass": "true",
    "diff.external": "",
    "log.showSignature": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "core.quotePath": "false",
}

# Those that say which repository it is: ciml works on the one it is in, also when a hook calls it.
_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_EXTERNAL_DIFF",
    "GIT_DIFF_OPTS",
    "GIT_ATTR_SOURCE",
    "GIT_GLOB_PATHSPECS",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_ICASE_PATHSPECS",
)
_LOCKED = re.compile(
    r"(?:Unable to create|could not lock config file|cannot lock ref) '?(?P<file>[^'\n]+?\.lock)'?: File exists"
)
LOCK_WAIT_S = 5.0
_POLL_S = 0.05


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The variables for Git: the caller's, without those that change which repository it reads, or how."""
    kept = {name: value for name, value in env.items() if name not in _ELSEWHERE and not name.startswith("GIT_TRACE")}
    return {
        **kept,
        "LC_ALL": "C",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_ALLOW_PROTOCOL": kept.get("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh"),
    }


class Answer:
    """How a process ended."""

    __slots__ = ("code", "error", "out")

    def __init__(self, code: int, out: bytes, error: str) -> None:
        self.code = code
        self.out = out
        self.error = error


class Git:
    """Runs Git in one directory.

    Args:
        directory: where; the repository is found from here.
        env: the caller's environment.
        lock_wait_s: how long another process's lock is waited for.
    """

    def __init__(self, directory: str, env: Mapping[str, str], *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        self.directory = directory
        self.env = environment(env)
        self._lock_wait_s = lock_wait_s
        self._options = [word for key, value in HARDENED.items() for word in ("-c", f"{key}={value}")]

    def neutral(self, drivers: Sequence[str]) -> Git:
        """The same, with these filter drivers of the configuration turned off."""
        other = Git(self.directory, self.env, lock_wait_s=self._lock_wait_s)
        off = ("clean=", "smudge=", "process=", "required=false")
        other._options += [word for name in drivers for key in off for word in ("-c", f"filter.{name}.{key}")]
        return other

    def argv(self, *args: str) -> list[str]:
        """The whole command line."""
        return ["git", "--no-pager", *self._options, *args]

    def run(self, *args: str, data: bytes = b"") -> bytes:
        """What `git ARGS` prints.

        Raises:
            RepositoryError: it fails; a lock is waited for first.
        """
        answer = self.ask(*args, data=data)
        if answer.code:
            raise self.error(args, answer)
        return answer.out

    def ask(self, *args: str, data: bytes = b"", timeout_s: float | None = None) -> Answer:
        """How `git ARGS` ended, failed or not; a lock that somebody else holds is waited for.

        Raises:
            RepositoryError: there is no Git.
            ServiceError: it took longer than `timeout_s`; it was ended then, with all it had started.
        """
        deadline = time.monotonic() + self._lock_wait_s
        while True:
            answer = self._once(args, data, timeout_s)
            if not answer.code or not _LOCKED.search(answer.error) or time.monotonic() > deadline:
                return answer
            time.sleep(_POLL_S)

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """`git ARGS`, running, with pipes for its input and its output."""
        try:
            return subprocess.Popen(
                self.argv(*args),
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # Ctrl-C must not end it while the call that needs it still tidies up.
                start_new_session=True,
            )
        except OSError as error:
            raise self._not_started(error) from error

    def _once(self, args: Sequence[str], data: bytes, timeout_s: float | None) -> Answer:
        try:
            process = subprocess.Popen(
                self.argv(*args),
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.PIPE if data else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=timeout_s is not None,
            )
        except OSError as error:
            raise self._not_started(error) from error
        with process:
            try:
                out, words = process.communicate(data or None, timeout=timeout_s)
            except subprocess.TimeoutExpired as error:
                os.killpg(process.pid, signal.SIGKILL)
                raise ServiceError(f"git {args[0]} took longer than {timeout_s:g} s") from error
            except BaseException:
                process.kill()
                raise
        return Answer(process.returncode, out, os.fsdecode(words))

    def _not_started(self, error: OSError) -> RepositoryError:
        if not os.path.isdir(self.directory):
            return RepositoryError(f"there is no folder {self.directory!r}")
        if isinstance(error, FileNotFoundError):
            return RepositoryError(
                f"git is not on the PATH; need git ≥ {OLDEST[0]}.{OLDEST[1]}", hint="Install Git, then run this again."
            )
        return RepositoryError(f"git cannot be started: {error}")

    def error(self, args: Sequence[str], answer: Answer) -> CimlError:
        """What a failure means for the user."""
        words = without_secrets(answer.error.strip())
        if "dubious ownership" in words or "unsafe repository" in words:
            return self._not_owned(words)
        if locked := _LOCKED.search(words):
            return RepositoryError(
                f"another process holds {locked['file']}",
                hint="Wait for it to end; delete the file only when no Git process is running.",
            )
        if "not a git repository" in words:
            return RepositoryError(f"{self.directory} is in no Git repository", hint="Run `git init`, or go to one.")
        if old := self._old_version():
            return RepositoryError(f"need git ≥ {OLDEST[0]}.{OLDEST[1]}, this is {old}", hint="Install a newer Git.")
        first = next((line for line in words.splitlines() if line.startswith(("fatal:", "error:"))), words)
        return RepositoryError(f"git {args[0]} failed in {self.directory}: {first}")

    def _not_owned(self, words: str) -> RepositoryError:
        found = re.search(r"repository at '(.+?)'", words) or re.search(r"'(.+?)' is owned", words)
        path = found[1] if found else self.directory
        quoted = "'" + path.replace("'", "'\\''") + "'"
        return RepositoryError(
            f"Git does not trust {path}: it belongs to another user",
            hint=f"If you trust it: git config --global --add safe.directory {quoted}",
        )

    def _old_version(self) -> str | None:
        """The version, where it is older than what ciml needs. Asked only once something failed."""
        found = re.search(r"(\d+)\.(\d+)[.\w]*", self._once(["version"], b"", None).out.decode("ascii", "replace"))
        return found[0] if found and (int(found[1]), int(found[2])) < OLDEST else None


def without_filters(git: Git) -> tuple[Git, bool]:
    """Git with the repository's filter drivers turned off; whether the executable bit of files means something."""
    found = git.ask("config", "-z", "--get-regexp", r"^(filter\..*\.(clean|smudge|process)|core\.filemode)$")
    drivers, trust_mode = set(), True
    for line in found.out.split(b"\0"):
        key, _, value = os.fsdecode(line).partition("\n")
        if key == "core.filemode":
            trust_mode = value != "false"
        elif key:
            drivers.add(key.removeprefix("filter.").rpartition(".")[0])
    if odd := [name for name in drivers if "=" in name]:
        raise TrustError(
            f"the filter driver {odd[0]!r} in Git's configuration cannot be turned off", hint="Remove that section."
        )
    return git.neutral(sorted(drivers)), trust_mode
