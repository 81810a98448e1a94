"""Virtual environments for stages: one per Python, requirements and tool, made once and kept.

`STATE/environments/<digest>/` is made in place, since an environment cannot be moved, by
whoever holds its lock; `ciml-ready.json` is written into it last, so one that a killed process
left is recognised and made anew.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping

from ciml.adapters.locks import try_lock
from ciml.adapters.process import find_program, run
from ciml.adapters.trees import remove_tree
from ciml.core.errors import ConfigurationError, ServiceError
from ciml.core.ids import Digest
from ciml.core.key import digest
from ciml.core.order import OrderEnvironment
from ciml.core.requirements import check_requirements
from ciml.core.stage_env import allowed
from ciml.core.value import Value

_READY = "ciml-ready.json"

_UNSOLVABLE = (
    b"No matching distribution",
    b"No solution found",
    b"ResolutionImpossible",
    b"DO NOT MATCH THE HASHES",
    b"Hash mismatch",
    b"hash mismatch",
    b"Invalid requirement",
    b"Couldn't parse requirement",
    b"--require-hashes",
)
"""What pip and uv say when trying again does not help."""


class Made(Value, frozen=True, kw_only=True):
    """An environment that is ready."""

    path: str
    packages: dict[str, str]
    """Name -> version of what is installed in it."""

    def variables(self, path: str) -> dict[str, str]:
        """What puts it first for a stage whose PATH else is `path`."""
        return {
            "VIRTUAL_ENV": self.path,
            "PATH": os.pathsep.join((os.path.join(self.path, "bin"), *filter(None, [path]))),
        }


class Environments:
    """All environments of one clone.

    Args:
        state: the clone's state directory, absolute.
        environ: ciml's own environment; pip and uv get the allowed part and their own settings.
        read: gives the bytes of a digest: the requirements file.
    """

    def __init__(self, state: str, environ: Mapping[str, str], read: Callable[[Digest], bytes]) -> None:
        self._state = state
        self._environ = {
            **allowed(environ),
            **{name: value for name, value in environ.items() if name.startswith(("PIP_", "UV_"))},
        }
        self._read = read
        self._uv = find_program("uv", environ.get("PATH", ""))

    def ready(self, wanted: OrderEnvironment) -> Made | None:
        """The environment, when it has been made already."""
        path = self._path(wanted)
        try:
            with open(os.path.join(path, _READY), encoding="utf-8") as file:
                packages = json.load(file)["packages"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        # Its Python is a link to one that may have been removed since.
        return Made(path=path, packages=packages) if os.path.exists(os.path.join(path, "bin", "python")) else None

    def make(self, wanted: OrderEnvironment) -> Made:
        """The environment, made when it is not there; one process makes it, others wait for that.

        Raises:
            ConfigurationError: the Python is not found, or the requirements cannot be met.
            ServiceError: the packages cannot be fetched now.
        """
        path = self._path(wanted)
        locks = os.path.join(self._state, "locks")
        os.makedirs(locks, exist_ok=True)
        lock = try_lock(os.path.join(locks, f"environment-{os.path.basename(path)}"), wait=True)
        try:
            return self.ready(wanted) or self._make(wanted, path)
        finally:
            if lock is not None:
                lock.release()

    def _path(self, wanted: OrderEnvironment) -> str:
        tool = "uv" if self._uv else "pip"
        name = digest("ciml/environment/1", wanted.python, wanted.requirements, tool, sys.platform, os.uname().machine)
        return os.path.join(self._state, "environments", name)

    def _make(self, wanted: OrderEnvironment, path: str) -> Made:
        requirements = self._read(wanted.requirements) if wanted.requirements is not None else b""
        check_requirements(requirements.decode("utf-8", "replace"))
        remove_tree(path)
        os.makedirs(path)
        listed = os.path.join(path, "requirements.txt")
        with open(listed, "wb") as file:
            file.write(requirements)
        self._create(wanted, path)
        if requirements.strip():
            self._install(path, listed)
        packages = installed(path)
        text = json.dumps({"python": wanted.python, "packages": packages}, indent=1)
        temporary = os.path.join(path, _READY + ".new")
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(temporary, os.path.join(path, _READY))
        return Made(path=path, packages=packages)

    def _create(self, wanted: OrderEnvironment, path: str) -> None:
        if self._uv:
            argv = [self._uv, "venv", "--quiet", "--no-config", "--allow-existing", "--python", wanted.python, path]
        else:
            argv = [self._python(wanted.python), "-m", "venv", path]
        code, output = self._run(argv, path)
        if code != 0:
            if b"no interpreter" in output.lower() or b"Invalid version request" in output:
                raise _no_python(wanted.python)
            raise ServiceError(f"environment: cannot make a virtual environment: {_last(output)}")

    def _install(self, path: str, requirements: str) -> None:
        python = os.path.join(path, "bin", "python")
        if self._uv:
            argv = [self._uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "-r", requirements]
        else:
            argv = [
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
                "-r",
                requirements,
            ]
        code, output = self._run(argv, path)
        if code == 0:
            return
        if any(text in output for text in _UNSOLVABLE):
            raise ConfigurationError(
                f"environment: the requirements cannot be installed: {_last(output)}",
                hint="Run the same install by hand to see all of it; then correct the requirements file.",
            )
        raise ServiceError(f"environment: installing the requirements failed: {_last(output)}")

    def _python(self, version: str) -> str:
        """An interpreter of that version: its own name first, then those that may be it."""
        path = self._environ.get("PATH", "")
        short = ".".join(version.split(".")[:2])
        for name in (f"python{short}", sys.executable, "python3", "python"):
            found = find_program(name, path)
            if found is not None and self._is_version(found, version):
                return found
        raise _no_python(version)

    def _is_version(self, python: str, version: str) -> bool:
        code, output = self._run([python, "-c", "import platform; print(platform.python_version())"], self._state)
        found = output.decode("utf-8", "replace").strip()
        return code == 0 and (found == version or found.startswith(version + "."))

    def _run(self, argv: list[str], cwd: str) -> tuple[int, bytes]:
        try:
            return run(argv, cwd=cwd, env=self._environ, mark=f"environment-{os.getpid()}")
        except OSError as error:
            raise ServiceError(f"environment: cannot start {argv[0]}: {error.strerror}") from error


def installed(path: str) -> dict[str, str]:
    """Name -> version of what lies in an environment, by its `dist-info` folders; pip itself apart."""
    packages: dict[str, str] = {}
    library = os.path.join(path, "lib")
    for python in sorted(os.listdir(library)):
        site = os.path.join(library, python, "site-packages")
        for entry in sorted(os.listdir(site)) if os.path.isdir(site) else ():
            if entry.endswith(".dist-info"):
                name, _, version = entry.removesuffix(".dist-info").rpartition("-")
                packages[name.lower().replace("_", "-")] = version
    packages.pop("pip", None)
    return packages


def _no_python(version: str) -> ConfigurationError:
    return ConfigurationError(
        f"environment: Python {version} is not on this machine",
        hint=f"Install Python {version}, or uv, which fetches it.",
    )


def _last(output: bytes) -> str:
    """The end of what a tool said, short enough for a message."""
    lines = [line.strip() for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-3:])[-500:] or "no output"
