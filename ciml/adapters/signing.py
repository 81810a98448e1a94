"""DSSE envelopes: signed with a key file, accepted by the keys of an `allowed_signers` file.

Keys are Ed25519, as PEM (PKCS 8) or as OpenSSH writes them, so that the key that signs tags can sign provenance.
An envelope is read as strictly as the statement inside it: what `seal` would not have written is refused.

Source: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec

from ciml.core.errors import ConfigurationError, IntegrityError, MissingExtraError
from ciml.core.signers import Signer
from ciml.core.value import Value
from ciml.core.verification import Signature, Signed

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
RECORD_TYPE = "application/vnd.ciml.record+json"
"""What a stage made: of another type, so that neither can be shown in the place of the other."""

_WHAT = {PAYLOAD_TYPE: "provenance", RECORD_TYPE: "record"}

KEY_VARIABLE = "CIML_SIGNING_KEY"
"""The environment variable that holds the path of the private key."""


class _Signature(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(Value, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: str
    payloadType: str  # noqa: N815 (the field's name in DSSE)
    signatures: tuple[_Signature, ...]


def seal(payload: bytes, *, key_file: str, kind: str = PAYLOAD_TYPE) -> bytes:
    """The envelope of a statement, or of a payload of another kind, signed with the private key in `key_file`.

    Raises:
        ConfigurationError: the key cannot be read, is not Ed25519, or the extra is not installed.
    """
    _require_extra("signing provenance")
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner

    key = _private_key(key_file)
    envelope = Envelope(payload, kind, {})
    envelope.sign(CryptoSigner(key))
    return msgspec.json.encode(msgspec.convert(envelope.to_dict(), _Envelope))


def examine(data: bytes, signers: Sequence[Signer], *, at: datetime) -> tuple[Signed, bytes]:
    """What the signature of a provenance file is worth, and the statement in it; a bare statement has none.

    Args:
        data: an envelope or a statement.
        signers: whose signatures count.
        at: the moment at which their keys must be valid, with a time zone.

    Raises:
        IntegrityError: a key that counts has signed something else, or the envelope is not one of ours.
        ConfigurationError: a signer's key cannot be read, or the extra is not installed.
    """
    if b'"payloadType"' not in data:
        return Signed(state=Signature.ABSENT), data
    _require_extra("verifying provenance")
    parsed = _parse(data)
    known = {_public_key(signer).keyid: signer for signer in signers}
    for entry in parsed.signatures:
        signer = known.get(entry.keyid)
        if signer is None:
            return Signed(state=Signature.UNKNOWN, who=entry.keyid[:16]), _unbase64(parsed.payload, "payload")
        if not signer.valid_at(at):
            return Signed(state=Signature.EXPIRED, who=signer.principals[0]), _unbase64(parsed.payload, "payload")
    return Signed(state=Signature.GOOD), unseal(data, signers, at=at)


def unseal(envelope: bytes, signers: Sequence[Signer], *, at: datetime, kind: str = PAYLOAD_TYPE) -> bytes:
    """The statement inside an envelope that one of the signers has signed, and nobody else.

    Args:
        envelope: as `seal` wrote it.
        signers: whose signatures count.
        at: the moment at which their keys must be valid, with a time zone.
        kind: the payload's type.

    Raises:
        IntegrityError: no signature, an unknown or expired key, a changed payload, another form.
        ConfigurationError: a signer's key cannot be read, or the extra is not installed.
    """
    _require_extra("verifying provenance")
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError
    from securesystemslib.signer import Signature

    what = _WHAT[kind]
    parsed = _parse(envelope, kind)
    payload = _unbase64(parsed.payload, "payload")
    keys = {key.keyid: key for key in (_public_key(signer) for signer in signers if signer.valid_at(at))}
    if unknown := [entry.keyid for entry in parsed.signatures if entry.keyid not in keys]:
        raise IntegrityError(
            f"the {what} is signed by the key {unknown[0][:16]!r}, which is not among the signers that count now"
        )
    signatures = {
        entry.keyid: Signature(entry.keyid, _unbase64(entry.sig, "signature").hex()) for entry in parsed.signatures
    }
    try:
        Envelope(payload, parsed.payloadType, signatures).verify([keys[name] for name in signatures], len(signatures))
    except VerificationError as error:
        raise IntegrityError(f"the signature of the {what} does not hold") from error
    return payload


def _parse(envelope: bytes, kind: str = PAYLOAD_TYPE) -> _Envelope:
    what = _WHAT[kind]
    try:
        parsed = msgspec.json.decode(envelope, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"the {what}'s envelope cannot be read: {error}") from error
    if msgspec.json.encode(parsed) != envelope:
        raise IntegrityError(f"the {what}'s envelope is not canonical JSON (a key twice, another order, white space)")
    if parsed.payloadType != kind:
        raise IntegrityError(f"the {what}'s envelope holds {parsed.payloadType!r}, not {kind}")
    if not parsed.signatures:
        raise IntegrityError(f"the {what}'s envelope has no signature")
    if len({entry.keyid for entry in parsed.signatures}) != len(parsed.signatures):
        raise IntegrityError(f"the {what}'s envelope has two signatures by one key")
    return parsed


def open_envelope(data: bytes) -> bytes:
    """The payload of what may be an envelope, and is believed whoever signed it; other bytes come back as they are."""
    try:
        return _unbase64(msgspec.json.decode(data, type=_Envelope).payload, "payload")
    except (msgspec.MsgspecError, UnicodeDecodeError, IntegrityError):
        return data


def _unbase64(text: str, what: str) -> bytes:
    """The bytes; only the one spelling that encodes them is taken."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise IntegrityError(f"the {what} of the provenance's envelope is not base64") from error
    if base64.b64encode(data).decode() != text:
        raise IntegrityError(f"the {what} of the provenance's envelope is not canonical base64")
    return data


def _private_key(path: str) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    try:
        with open(path, "rb") as file:
            data = file.read()
        load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
        key = load(data, None)
    except OSError as error:
        raise ConfigurationError(f"{KEY_VARIABLE}: {path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # The text of these errors may quote the file: it stays out of the message.
        raise ConfigurationError(
            f"{KEY_VARIABLE}: {path} is not a private key that can be read",
            hint="It has to be PEM or OpenSSH, without a passphrase: `ssh-keygen -t ed25519 -N '' -f KEY`.",
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{KEY_VARIABLE}: {path} is not an Ed25519 key", hint="`ssh-keygen -t ed25519`")
    return key


def _public_key(signer: Signer) -> SSlibKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key
    from securesystemslib.signer import SSlibKey

    try:
        key = load_ssh_public_key(signer.key.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(f"the key of the signer {signer.principals[0]} cannot be read") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(f"the key of the signer {signer.principals[0]} is not Ed25519")
    return SSlibKey.from_crypto(key)


def _require_extra(what: str) -> None:
    if find_spec("securesystemslib") is None or find_spec("cryptography") is None:
        raise MissingExtraError(f"{what} needs packages that are not installed", extra="provenance")
