"""Signatures of tags, made by Git and OpenSSH and looked at as ciml does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ciml.adapters.git.repository import Repository
from ciml.adapters.signatures import Signatures
from ciml.core.errors import ConfigurationError, RepositoryError
from ciml.core.ids import GitOid
from ciml.core.verification import Signature, Signed
from tests.repobuilder import RepoBuilder

WHO = "release@acme.example"


class Signing:
    """A repository with tags, keys, and what ciml says of their signatures."""

    def __init__(self, repo: RepoBuilder, folder: Path) -> None:
        self.repo, self.folder = repo, folder

    def key(self, name: str, kind: str = "ed25519") -> str:
        """The public half of a new key."""
        path = str(self.folder / name)
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path], check=True)
        return Path(f"{path}.pub").read_text().strip()

    def tag(self, name: str, key: str) -> GitOid:
        path = self.folder / key
        self.repo.git("-c", "gpg.format=ssh", "-c", f"user.signingkey={path}", "tag", "-s", "-m", name, name)
        return GitOid(self.repo.git("rev-parse", name))

    def write(self, text: bytes) -> GitOid:
        """The id of a tag object with this content, however malformed."""
        return GitOid(self.repo.git("hash-object", "-t", "tag", "-w", "--literally", "--stdin", input=text))

    def raw(self, tag: GitOid) -> bytes:
        return (self.repo.git("cat-file", "tag", tag) + "\n").encode()

    def look(self, tag: GitOid, signers: str, *, name: str = "v1", path: str | None = None) -> Signed:
        with Repository.open(str(self.repo.path), self.repo.env) as repository:
            environ = {"PATH": os.environ["PATH"] if path is None else path}
            return Signatures(repository.objects, environ, file="signers").tag(tag, name, signers)


@pytest.fixture
def signing(repo: RepoBuilder, tmp_path: Path) -> Signing:
    repo.commit({"a": "1"})
    return Signing(repo, tmp_path)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_good_signature(signing: Signing, kind: str) -> None:
    """By any kind of key that OpenSSH has, the signer is named."""
    line = f"{WHO} {signing.key('key', kind)}"
    assert signing.look(signing.tag("v1", "key"), f"# comment\n{line}\n") == Signed(state=Signature.GOOD, who=WHO)
    assert signing.look(signing.tag("v2", "key"), f"{line}", name="v2").state is Signature.GOOD


def test_keys_that_do_not_count(signing: Signing) -> None:
    """Unknown; past; future; for another purpose: each told apart from a broken signature."""
    public = signing.key("key")
    tag = signing.tag("v1", "key")
    other = signing.key("other")

    assert signing.look(tag, f"{WHO} {other}\n").state is Signature.UNKNOWN
    assert signing.look(tag, "").state is Signature.UNKNOWN
    for option in ('valid-before="20200101Z"', 'valid-after="29991231Z"', 'namespaces="ciml"'):
        found = signing.look(tag, f"{WHO} {option} {public}\n")
        assert found.state is Signature.EXPIRED and public.split()[1].startswith(found.who[:-1])
    assert signing.look(tag, f'{WHO} namespaces="git,ciml" {public}\n').state is Signature.GOOD


def test_a_date_in_the_tag_does_not_help(signing: Signing) -> None:
    """A key that counts no more signs a tag that claims to be older: the time now is what counts."""
    public = signing.key("key")
    tag = signing.tag("v1", "key")  # dated 2026 by the builder
    assert b"1767" in signing.raw(tag)
    assert signing.look(tag, f'{WHO} valid-before="20260201Z" {public}\n').state is Signature.EXPIRED


def test_changed_words(signing: Signing) -> None:
    """One byte of the tag or of its signature: broken, or not a signature by a known key any more."""
    line = f"{WHO} {signing.key('key')}\n"
    raw = signing.raw(signing.tag("v1", "key"))
    assert signing.look(signing.write(raw), line).state is Signature.GOOD
    assert signing.look(signing.write(raw.replace(b"\n\nv1\n", b"\n\nv2\n")), line).state is Signature.BROKEN
    commit = signing.repo.commit({"a": "2"})
    moved = raw.replace(raw[7:47], commit.encode())
    assert signing.look(signing.write(moved), line).state is Signature.BROKEN
    for place in range(raw.index(b"-----BEGIN") + 60, len(raw) - 40, 41):
        letter = b"A" if raw[place : place + 1] != b"A" else b"B"
        forged = raw[:place] + letter + raw[place + 1 :]
        assert signing.look(signing.write(forged), line).state is not Signature.GOOD


def test_another_name(signing: Signing) -> None:
    """A good signature under another name is told with the name that was signed."""
    line = f"{WHO} {signing.key('key')}\n"
    tag = signing.tag("churn@v1", "key")
    assert signing.look(tag, line, name="price@v1") == Signed(state=Signature.ELSEWHERE, who="churn@v1")
    forged = signing.raw(tag).replace(b"tag churn@v1", b"tag price@v1")
    assert signing.look(signing.write(forged), line, name="price@v1").state is Signature.BROKEN


def test_no_signature_or_a_foreign_one(signing: Signing) -> None:
    """Unsigned tags, commits, OpenPGP, X.509, and something that only looks like SSH's."""
    head = signing.repo.git("rev-parse", "HEAD")
    bare = f"object {head}\ntype commit\ntag v1\ntagger A <a@b> 1 +0000\n\nwords\n".encode()
    block = "-----BEGIN {0}-----\n\nAAAA\n-----END {0}-----\n"

    assert signing.look(GitOid(head), "").state is Signature.ABSENT
    assert signing.look(signing.write(bare), "").state is Signature.ABSENT
    openpgp = signing.look(signing.write(bare + block.format("PGP SIGNATURE").encode()), "")
    assert openpgp == Signed(state=Signature.FOREIGN, who="OpenPGP")
    x509 = signing.look(signing.write(bare + block.format("SIGNED MESSAGE").encode()), "")
    assert x509 == Signed(state=Signature.FOREIGN, who="X.509")
    for body in ("AAAA", "!!!!", "U1NIU0lHAAAAAQ=="):
        false = bare + f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n".encode()
        assert signing.look(signing.write(false), "").state in (Signature.BROKEN, Signature.UNKNOWN)


def test_what_is_missing(signing: Signing) -> None:
    """No ssh-keygen: exit 3 with what to install. No such object: exit 4."""
    signing.key("key")
    tag = signing.tag("v1", "key")
    with pytest.raises(ConfigurationError, match="ssh-keygen cannot verify tags") as caught:
        signing.look(tag, "", path=str(signing.folder))
    assert "Install OpenSSH" in (caught.value.hint or "")
    with pytest.raises(RepositoryError, match="is not in this clone"):
        signing.look(GitOid("0" * 40), "")
