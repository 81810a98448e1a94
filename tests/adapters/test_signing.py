from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ciml.adapters.signing import seal, unseal
from ciml.core.errors import ConfigurationError, IntegrityError
from ciml.core.signers import Signer, parse_signers

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'


class Pair:
    """A key pair made by ssh-keygen."""

    def __init__(self, path: Path, *, kind: str = "ed25519", form: str = "RFC4716", options: str = "") -> None:
        self.private = str(path)
        command = ["ssh-keygen", "-q", "-t", kind, "-m", form, "-N", "", "-C", "", "-f", self.private]
        subprocess.run(command, check=True)
        public = path.with_name(f"{path.name}.pub").read_text().strip()
        self.signers = parse_signers(f"release@acme.example {options} {public}", file="signers")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Pair(tmp_path_factory.mktemp("keys") / "key")


@pytest.fixture(scope="module")
def sealed(pair: Pair) -> bytes:
    return seal(PAYLOAD, key_file=pair.private)


def refused(envelope: bytes, signers: tuple[Signer, ...], *, says: str | None = None) -> None:
    with pytest.raises(IntegrityError, match=says):
        unseal(envelope, signers, at=NOW)


def test_what_is_sealed_is_unsealed(pair: Pair, sealed: bytes) -> None:
    """The key that OpenSSH made signs, and the line that Git reads for tags verifies."""
    assert unseal(sealed, pair.signers, at=NOW) == PAYLOAD
    assert json.loads(sealed)["payloadType"] == "application/vnd.in-toto+json"


def test_a_pem_key_signs_too(tmp_path: Path, pair: Pair, sealed: bytes) -> None:
    """The same key as PKCS 8, the form that openssl and cloud consoles give, makes the same envelope."""
    from cryptography.hazmat.primitives import serialization as form

    key = form.load_ssh_private_key(Path(pair.private).read_bytes(), None)
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))

    assert seal(PAYLOAD, key_file=str(pem)) == sealed


def test_c147_a_key_that_does_not_count_is_refused(tmp_path: Path, sealed: bytes, pair: Pair) -> None:
    """Signature by an unknown key, by no key at all, and by a key that was not valid at the time."""
    past = Pair(tmp_path / "past", options='valid-before="20261120Z"')
    future = Pair(tmp_path / "future", options='valid-after="20261122Z"')

    refused(sealed, past.signers, says="not among the signers")
    refused(sealed, (), says="not among the signers")
    refused(seal(PAYLOAD, key_file=past.private), past.signers, says="not among the signers")
    refused(seal(PAYLOAD, key_file=future.private), future.signers, says="not among the signers")
    assert unseal(sealed, (*past.signers, *pair.signers), at=NOW) == PAYLOAD


def _tree(envelope: bytes) -> Any:
    return json.loads(envelope)


def _with(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    def apply(envelope: bytes) -> bytes:
        tree = _tree(envelope)
        change(tree)
        return msgspec.json.encode(tree)

    return apply


FORGED = base64.b64encode(PAYLOAD.replace(b"v1", b"v2")).decode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_with(lambda tree: tree.update(payload=FORGED)), "does not hold"),
        (_with(lambda tree: tree.update(payloadType="text/plain")), "text/plain"),
        (_with(lambda tree: tree.update(signatures=[])), "no signature"),
        (_with(lambda tree: tree.update(alg="none")), "cannot be read"),
        (_with(lambda tree: tree["signatures"][0].update(alg="none")), "cannot be read"),
        (_with(lambda tree: tree["signatures"][0].update(sig="")), "does not hold"),
        (_with(lambda tree: tree["signatures"].append(tree["signatures"][0])), "two signatures"),
        (_with(lambda tree: tree.update(payload=tree["payload"] + "\n")), "not base64"),
        (_with(lambda tree: tree.update(payload=" " + tree["payload"])), "not base64"),
        (_with(lambda tree: tree.update(payload=tree["payload"] + "é")), "not base64"),
        (lambda text: text.replace(b'{"payload":', b'{"payload":"","payload":'), "not canonical"),
        (lambda text: text + b"\n", "not canonical"),
        (lambda text: text[:-1], "cannot be read"),
        (lambda text: b"", "cannot be read"),
    ],
)
def test_c147_an_envelope_of_another_form_is_refused(
    change: Callable[[bytes], bytes], says: str, pair: Pair, sealed: bytes
) -> None:
    """Changed payload, empty signatures, alg none, duplicate keys, base64 white space: each exit 7."""
    refused(change(sealed), pair.signers, says=says)


def test_c147_no_changed_byte_of_an_envelope_is_accepted(pair: Pair, sealed: bytes) -> None:
    """Every byte of the envelope matters: replaced, removed or doubled, it is refused."""
    rng = random.Random(147)
    for place in range(len(sealed)):
        other = bytes([rng.choice([byte for byte in range(32, 127) if byte != sealed[place]])])
        refused(sealed[:place] + other + sealed[place + 1 :], pair.signers)
        refused(sealed[:place] + sealed[place + 1 :], pair.signers)
        refused(sealed[:place] + sealed[place : place + 1] * 2 + sealed[place + 1 :], pair.signers)


def test_a_key_that_cannot_sign_is_a_configuration_error(tmp_path: Path) -> None:
    """Absent, no key, or of another kind: named by its path, and nothing of its content is shown."""
    text = tmp_path / "text"
    text.write_text("CANARY-not-a-key")
    rsa = Pair(tmp_path / "ecdsa", kind="ecdsa")
    for path, says in (
        (str(tmp_path / "absent"), "No such file"),
        (str(text), "not a private"),
        (rsa.private, "Ed25519"),
    ):
        with pytest.raises(ConfigurationError, match=says) as caught:
            seal(PAYLOAD, key_file=path)
        assert "CANARY" not in f"{caught.value}{caught.value.hint}"
    with pytest.raises(ConfigurationError, match="not Ed25519"):
        unseal(seal(PAYLOAD, key_file=Pair(tmp_path / "key").private), rsa.signers, at=NOW)


def test_without_the_extra_the_error_names_the_command() -> None:
    """Importing the module needs nothing; using it without its packages says what to install."""
    code = """
import sys
from ciml.adapters.signing import seal
assert "securesystemslib" not in sys.modules and "cryptography" not in sys.modules
sys.modules["securesystemslib"] = None
try:
    seal(b"", key_file="k")
except Exception as error:
    print(type(error).__name__, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == 'MissingExtraError pip install "ciml[provenance]"\n'
