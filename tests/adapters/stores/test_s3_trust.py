"""Who may write records that everybody believes: the service's permissions, and signatures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ciml.adapters.signing import PAYLOAD_TYPE, RECORD_TYPE, open_envelope, seal, unseal
from ciml.adapters.stores.records import encode
from ciml.adapters.stores.shared import SharedStore
from ciml.adapters.stores.sharedrecords import Signing
from ciml.core.errors import TrustError
from ciml.core.ids import RepoPath
from ciml.core.results import Miss, Output, Record
from ciml.core.signers import parse_signers
from tests.adapters.stores.clones import Clones
from tests.adapters.stores.contract import record_of
from tests.s3server import Service, moto


def published(store: SharedStore, data: bytes = b"some bytes") -> Record:
    output = Output(path=RepoPath("f"), digest=store.put_bytes(data), size=len(data))
    return store.publish(record_of("a", output))


POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::shared"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*"},
        {
            "Effect": "Allow",
            "Action": "s3:PutObject",
            "Resource": [f"arn:aws:s3:::shared/ciml/{part}/*" for part in ("objects", "leases", "records/pr")],
        },
        {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "arn:aws:s3:::shared/ciml/leases/*"},
    ],
}
"""What docs/store.md gives a pull request's job."""


@pytest.fixture
def pull_request(tmp_path: Path) -> Iterator[Clones]:
    """A bucket as a pull request's job sees it: its service enforces the policy of its role."""
    with moto(tmp_path, {"INITIAL_NO_AUTH_ACTION_COUNT": "4"}) as service:
        service.client().create_bucket(Bucket="shared")
        iam = service.client("iam")
        iam.create_user(UserName="pr")
        key = iam.create_access_key(UserName="pr")["AccessKey"]
        iam.put_user_policy(UserName="pr", PolicyName="pr", PolicyDocument=json.dumps(POLICY))
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        clones = Clones(Service(service.endpoint, {**keys, "AWS_REGION": "us-east-1"}), "shared", tmp_path / "clones")
        yield clones
        clones.close()


def test_c112_a_pull_request_cannot_write_trusted_records(pull_request: Clones) -> None:
    """PR job with stolen write path tries trusted prefix → AccessDenied from IAM → exit 6; its own space works."""
    mine = pull_request.open(space="pr/7", reads=("main",))
    record = published(mine)
    assert pull_request.open(space="pr/7").record(record.key) == record

    with pytest.raises(TrustError) as caught:
        mine.admit([record], to="main")

    assert caught.value.message.endswith("AccessDenied")
    assert caught.value.hint is not None
    assert "Allow s3:PutObject on arn:aws:s3:::shared/ciml/records/main/" in caught.value.hint
    assert pull_request.names("records/main/") == []


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], tuple[str, str]]:
    """Makes a key: the path of the private one, and the line of the public one."""

    def make(name: str) -> tuple[str, str]:
        private = Ed25519PrivateKey.generate()
        path = tmp_path / f"{name}.pem"
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(private.private_bytes(*form))
        public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return str(path), f"{name}@example.com {public.decode()}"

    return make


def signing(key_file: str | None, lines: str | None) -> Signing:
    def check(data: bytes, written: datetime) -> bytes:
        return unseal(data, parse_signers(lines or "", file="signers"), at=written, kind=RECORD_TYPE)

    return Signing(
        seal=(lambda payload: seal(payload, key_file=key_file, kind=RECORD_TYPE)) if key_file else None,
        unseal=check if lines is not None else None,
        opened=open_envelope,
    )


def test_c112_unsigned_records_of_main_are_ignored(clones: Clones, key: Callable[[str], tuple[str, str]]) -> None:
    """Without IAM: signature missing, by another key, over something else, of another kind → a miss and a warning."""
    private, line = key("release")
    stranger, _ = key("stranger")
    signed = clones.open(space="main", signing=signing(private, line))
    record = published(signed)
    name = f"records/main/{record.key[:2]}/{record.key[2:]}"

    def reader() -> SharedStore:
        return clones.open(space="user/b", reads=("main",), signing=signing(None, line))

    assert reader().record(record.key) == record
    assert clones.warnings == []

    payload = encode(record, space="main", salt="")
    other = encode(record_of("a"), space="main", salt="")
    envelope = seal(payload, key_file=private, kind=RECORD_TYPE)
    forged = json.loads(envelope)
    forged["payload"] = json.loads(seal(other, key_file=stranger, kind=RECORD_TYPE))["payload"]
    wrong = [
        payload,
        seal(payload, key_file=stranger, kind=RECORD_TYPE),
        json.dumps(forged, separators=(",", ":")).encode(),
        seal(payload, key_file=private, kind=PAYLOAD_TYPE),
        envelope[:-9],
    ]
    for number, data in enumerate(wrong, start=1):
        clones.overwrite(name, data)
        assert isinstance(reader().record(record.key), Miss), number
        assert len(clones.warnings) == number
        assert "is not signed as it must be" in clones.warnings[-1]


def test_c112_a_signed_record_replaces_what_is_ignored(clones: Clones, key: Callable[[str], tuple[str, str]]) -> None:
    """An unsigned record in `main` does not keep the signed one out; without signers, signed ones are read as well."""
    private, line = key("release")
    poison = published(clones.open(space="main"), b"poison")
    run = clones.open(space="run/1", signing=signing(private, line))
    record = published(run, b"sound")

    run.admit([record], to="main")

    for lines in (line, None):
        reader = clones.open(space="user/b", reads=("main",), signing=signing(None, lines))
        assert reader.record(poison.key) == record
