"""Looks at signatures: those of tags with OpenSSH's own program, those of provenance with DSSE.

A tag's signature is held against the time now, not against the tag's own date as Git does: whoever
has a key that was revoked can write any date into a tag.

Source: gitformat-signature(5); ssh-keygen(1), `-Y check-novalidate`, `find-principals` and `verify`; PROTOCOL.sshsig.
"""

from __future__ import annotations

import base64
import binascii
import os
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime

from ciml.adapters.git.objects import Objects
from ciml.core.errors import ConfigurationError, RepositoryError
from ciml.core.ids import GitOid
from ciml.core.signers import parse_signers
from ciml.core.verification import Signature, Signed

_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_END = b"-----END SSH SIGNATURE-----"
_OTHERS = {b"-----BEGIN PGP SIGNATURE-----": "OpenPGP", b"-----BEGIN SIGNED MESSAGE-----": "X.509"}
_MAGIC = b"SSHSIG\0\0\0\1"
_SSH_S = 20.0


class Signatures:
    """The port Witness.

    Args:
        objects: Git's.
        environ: has the PATH on which ssh-keygen is.
        file: what the signers' file is called in errors.
    """

    def __init__(self, objects: Objects, environ: Mapping[str, str], *, file: str) -> None:
        self._objects = objects
        self._environ = environ
        self._file = file

    def tag(self, tag: GitOid, name: str, signers: str) -> Signed:
        """The signature of a tag object, held against the text of an `allowed_signers` file.

        Raises:
            ConfigurationError: ssh-keygen is not there.
            RepositoryError: there is no such object.
        """
        found = self._objects.find(tag)
        if found is None:
            raise RepositoryError(f"the tag object {tag} is not in this clone", hint="git fetch --tags")
        _, kind, raw = found
        if kind != "tag":
            return Signed(state=Signature.ABSENT)
        start = _start(raw, _BEGIN)
        if start is None:
            other = next((kind for begin, kind in _OTHERS.items() if _start(raw, begin) is not None), None)
            return Signed(state=Signature.FOREIGN, who=other) if other else Signed(state=Signature.ABSENT)
        signed = self._signed(raw[:start], raw[start:], signers)
        named = _field(raw, b"tag")
        if signed.state is Signature.GOOD and named != name:
            return Signed(state=Signature.ELSEWHERE, who=named)
        return signed

    def provenance(self, data: bytes, signers: str) -> tuple[Signed, bytes]:
        """The signature of a provenance file, and the statement inside it."""
        from ciml.adapters.signing import examine

        return examine(data, parse_signers(signers, file=self._file), at=datetime.now(UTC))

    def _signed(self, payload: bytes, signature: bytes, signers: str) -> Signed:
        key = _key_of(signature)
        with tempfile.TemporaryDirectory(prefix="ciml-") as folder:
            files = {"signers": os.fsencode(signers), "signature": signature}
            for file, data in files.items():
                with open(os.path.join(folder, file), "wb") as target:
                    target.write(data)
            if self._ask(folder, "check-novalidate", "-n", "git", data=payload) is None:
                return Signed(state=Signature.BROKEN)
            signers_file = ("-f", f"{folder}/signers")
            names = self._ask(folder, "find-principals", *signers_file)
            for principal in os.fsdecode(names or b"").splitlines():
                if self._ask(folder, "verify", *signers_file, "-n", "git", "-I", principal, data=payload) is not None:
                    return Signed(state=Signature.GOOD, who=principal)
        state = Signature.EXPIRED if key and key in signers else Signature.UNKNOWN
        return Signed(state=state, who=f"{key[:24]}…" if key else "")

    def _ask(self, folder: str, what: str, *more: str, data: bytes = b"") -> bytes | None:
        """What ssh-keygen prints, None where it refuses."""
        argv = ["ssh-keygen", "-Y", what, "-s", f"{folder}/signature", *more]
        try:
            done = subprocess.run(
                argv, input=data, capture_output=True, check=False, timeout=_SSH_S, env=dict(self._environ)
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(
                f"ssh-keygen cannot verify tags: {error}", hint="Install OpenSSH's client, 8.2 or newer."
            ) from error
        return done.stdout if done.returncode == 0 else None


def _start(raw: bytes, begin: bytes) -> int | None:
    """Where the signature at the end of a tag begins: Git takes the last line of that form."""
    place = raw.rfind(b"\n" + begin)
    return place + 1 if place >= 0 else None


def _field(raw: bytes, name: bytes) -> str:
    lines = raw.partition(b"\n\n")[0].split(b"\n")
    return os.fsdecode(next((line[len(name) + 1 :] for line in lines if line.startswith(name + b" ")), b""))


def _key_of(signature: bytes) -> str | None:
    """The public key in a signature, as a file of signers has it; None where it has no such form."""
    text = signature.partition(_END)[0].removeprefix(_BEGIN)
    try:
        blob = base64.b64decode(b"".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not blob.startswith(_MAGIC) or len(blob) < len(_MAGIC) + 4:
        return None
    size = int.from_bytes(blob[len(_MAGIC) : len(_MAGIC) + 4])
    return base64.b64encode(blob[len(_MAGIC) + 4 : len(_MAGIC) + 4 + size]).decode()
