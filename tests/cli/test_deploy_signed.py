"""`ciml deploy` where `trust.signers` asks for signatures: of tags by OpenSSH, of provenance by DSSE."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mlflow.tracking.client import MlflowClient

from ciml.adapters.signing import seal
from ciml.cli.main import main
from ciml.core.entries import Deployment
from tests.cli.calls import ROOT, Answer, Calls
from tests.cli.ledgers import state
from tests.cli.test_deploy import FILES, MODES, cleared, identify, log
from tests.repobuilder import RepoBuilder

ADDRESS = "https://forge.example/acme/churn"
SIGNED_YAML = FILES["ciml.yaml"] + "trust: {signers: signers}\n"


def keygen(path: Path) -> str:
    """The public half of a new key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return path.with_name(f"{path.name}.pub").read_text().strip()


def signed_tag(repo: RepoBuilder, name: str, target: str, key: Path, *, form: str = "ssh") -> None:
    repo.git("-c", f"gpg.format={form}", "-c", f"user.signingkey={key}", "tag", "-f", "-s", "-m", name, name, target)


def point(repo: RepoBuilder, origin: Path, address: str = ADDRESS) -> None:
    """Let a clone's origin have this address, and be found in this folder."""
    repo.git("remote", "set-url", "origin", address)
    repo.git("config", f"url.{origin}.insteadOf", address)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A clone of a bare origin; a shared registry; keys `release` (a signer) and `other`; v1 signed, version 1."""
    folder = tmp_path_factory.mktemp("signed") / "world"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        cleared(patch)
        signers = f"release@acme.example {keygen(folder / 'release')}\n"
        keygen(folder / "other")
        repo = RepoBuilder(folder / "repo")
        identify(repo)
        yaml = f"{SIGNED_YAML}registry: sqlite:///{folder}/ml.db\n"
        repo.commit({**FILES, "ciml.yaml": yaml, "signers": signers}, "signers", modes=MODES)
        repo.commit({"src.txt": "0.7\n# a model\n"}, "a first model")
        repo.bare_origin()
        point(repo, folder / "origin.git")
        patch.setenv("CIML_SIGNING_KEY", str(folder / "release"))
        for words in (("run",), ("register",)):
            assert main(["-C", str(repo.path), "-q", *words]) == 0
        signed_tag(repo, "v1", "HEAD", folder / "release")
        repo.git("push", "-q", "origin", "v1")
        yield folder


class Signed:
    """A copy of the world, and calls in it.

    The registry stays where it is: its address is in `ciml.yaml`, and so in every recipe's commit.
    """

    def __init__(self, calls: Calls, folder: Path, world: Path) -> None:
        self.call, self.repo, self.folder, self.world = calls, calls.repo, folder, world

    def deploy(self, *words: str) -> Answer:
        return self.call("deploy", *words)

    def push(self) -> None:
        self.repo.git("push", "-q", "origin", "HEAD:main")

    def key(self, name: str) -> Path:
        return self.world / name


@pytest.fixture
def signed(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Signed:
    cleared(monkeypatch)
    (tmp_path / "target").mkdir()
    monkeypatch.setenv("TARGET", str(tmp_path / "target"))
    for name in ("repo", "origin.git"):
        shutil.copytree(world / name, tmp_path / name, symlinks=True)
    repo = RepoBuilder(tmp_path / "repo", create=False)
    repo._commits = 20
    point(repo, tmp_path / "origin.git", "git@forge.example:acme/churn.git")
    return Signed(Calls(repo, capsys, monkeypatch), tmp_path, world)


def deployed(signed: Signed) -> list[list[str]]:
    return log(signed.folder / "target")


def refused(signed: Signed, code: int, says: str, *words: str) -> None:
    answer = signed.deploy(*words)
    assert (answer.code, deployed(signed)) == (code, []), answer
    assert says in answer.err, answer.err


def test_signed_tag_and_signed_provenance(signed: Signed) -> None:
    """Both by a signer: deployed, and nothing is said to have been overridden."""
    assert signed.deploy("--ref", "v1").code == 0
    [entry] = ledger(signed)
    assert (entry.ref, entry.overridden, entry.version) == ("v1", "", 1)


# What a process without a network finds: no name, no address but its own machine's files.
_NO_NETWORK = """\
import sys

def _refuse(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise OSError(101, "Network is unreachable")

sys.addaudithook(_refuse)
"""


def test_c150_signatures_are_verified_without_a_network(signed: Signed) -> None:
    """The keys are in the repository, so nothing is asked of anybody: deployed, and a stranger's tag is refused."""
    (signed.folder / "offline").mkdir()
    (signed.folder / "offline/sitecustomize.py").write_text(_NO_NETWORK)
    signed_tag(signed.repo, "v1.3", "HEAD", signed.key("other"))
    environ = {**os.environ, "PYTHONPATH": f"{signed.folder}/offline:{ROOT}"}
    codes = [
        subprocess.run(
            [sys.executable, "-m", "ciml", "deploy", "--ref", ref], cwd=signed.repo.path, env=environ, check=False
        ).returncode
        for ref in ("v1.3", "v1")
    ]
    assert codes == [6, 0]
    assert [entry.ref for entry in ledger(signed)] == ["v1"]


def ledger(signed: Signed) -> list[Deployment]:
    return [entry for entry in state(signed.repo, remote="origin").entries if isinstance(entry, Deployment)]


def test_tags_that_nobody_who_counts_has_signed(signed: Signed) -> None:
    """Lightweight, annotated and unsigned, signed by a stranger: exit 6."""
    signed.repo.tag("v1.1")
    signed.repo.tag("v1.2", message="by nobody")
    signed_tag(signed.repo, "v1.3", "HEAD", signed.key("other"))

    refused(signed, 6, "the tag v1.1 is not signed", "--ref", "v1.1")
    refused(signed, 6, "the tag v1.2 is not signed", "--ref", "v1.2")
    refused(signed, 6, "not among the signers", "--ref", "v1.3")


def test_c148_a_signed_tag_of_another_name(signed: Signed) -> None:
    """A tag signed for one release, or one model, does not serve under another name: exit 7, and no override."""
    signed.repo.git("update-ref", "refs/tags/v9", signed.repo.git("rev-parse", "v1"))
    refused(signed, 7, "is a signed tag of another name, v1", "--ref", "v9")
    refused(signed, 7, "another name", "--ref", "v9", "--override", "--reason", "please")


def test_a_signature_over_something_else(signed: Signed) -> None:
    """A tag whose words were changed under its signature: exit 7."""
    text = signed.repo.git("cat-file", "tag", "v1").replace("\n\nv1\n", "\n\nv1 is fine\n")
    forged = signed.repo.git("hash-object", "-t", "tag", "-w", "--stdin", input=f"{text}\n")
    signed.repo.git("update-ref", "refs/tags/v1", forged)
    refused(signed, 7, "does not hold", "--ref", "v1", "--override", "--reason", "please")


def test_c149_signers_of_the_released_commit_do_not_count(signed: Signed) -> None:
    """A commit that adds its own signer, merged or not, is not released by that signer: exit 6."""
    other = signed.key("other").with_name("other.pub").read_text()
    signers = (signed.repo.path / "signers").read_text()
    signed.repo.commit({"signers": f"{signers}evil@example.com {other}"}, "let me in")
    signed_tag(signed.repo, "v2", "HEAD", signed.key("other"))
    refused(signed, 6, "not on a protected branch", "--ref", "v2")

    signed.push()
    refused(signed, 6, "is signed by a key", "--ref", "v2")
    signed.repo.commit({"README.md": "words"})
    signed.push()
    signed_tag(signed.repo, "v3", "HEAD", signed.key("other"))
    assert signed.deploy("--ref", "v3").code == 0  # the branch has accepted that signer before


def test_signers_taken_from_the_branch_count_no_more(signed: Signed) -> None:
    """The released commit still names them; the default branch does not: exit 6."""
    signed.repo.commit({"signers": f"new@acme.example {signed.key('other').with_name('other.pub').read_text()}"})
    signed.push()
    refused(signed, 6, "is signed by a key", "--ref", "v1")


def test_c050_a_tag_that_no_protected_branch_has(signed: Signed) -> None:
    """Tag on a commit that only a side branch has: exit 6, also from a shallow clone; nothing overrides it."""
    signed.repo.branch("side")
    signed.repo.commit({"README.md": "aside"})
    signed_tag(signed.repo, "v2", "HEAD", signed.key("release"))
    signed.repo.git("push", "-q", "origin", "side", "v2")

    refused(signed, 6, "tag commit not on a protected branch", "--ref", "v2")
    refused(signed, 6, "not on a protected branch", "--ref", "v2", "--override", "--reason", "please")


def test_a_shallow_clone_of_the_tag(
    signed: Signed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CI checks it out: one commit deep, detached; what it lacks of the default branch is fetched."""
    signed.repo.commit({"README.md": "words"})
    signed.repo.commit({"README.md": "more words"})
    signed.push()
    origin = RepoBuilder(signed.folder / "origin.git", create=False)
    clone = origin.clone("shallow", depth=1, branch="v1")
    identify(clone)
    point(clone, origin.path)
    answer = Calls(clone, capsys, monkeypatch)("deploy", "--ref", "v1")

    assert answer.code == 0, answer
    assert len(deployed(signed)) == 1


@pytest.mark.parametrize("how", ["removed", "expired"])
def test_c153_a_revoked_key(signed: Signed, how: str) -> None:
    """Exit 6; with --override --reason it is deployed, and the ledger says what was overridden, by whom and why."""
    line = (signed.repo.path / "signers").read_text()
    other = signed.key("other").with_name("other.pub").read_text()
    then = line.replace(" ssh-", ' valid-before="20200101Z" ssh-') if how == "expired" else f"new@acme.example {other}"
    signed.repo.commit({"signers": then}, "revoke")
    signed.push()
    refused(signed, 6, "--override --reason TEXT", "--ref", "v1")

    answer = signed.deploy("--ref", "v1", "--override", "--reason", "the fix is worse")
    assert answer.code == 0, answer
    [entry] = ledger(signed)
    assert entry.reason == "the fix is worse" and entry.actor == "Ada <ada@example.com>"
    assert "the tag v1 is signed by a key" in entry.overridden and "the provenance of m" in entry.overridden
    told = "does not count now" if how == "expired" else "not among the signers"
    assert entry.overridden.count(told) == 2
    [model] = signed.call.json("status")["models"]
    assert model["environments"]["production"]["overridden"] == entry.overridden


def provenance(signed: Signed, change: str) -> None:
    """Put another provenance file in the place of version 1's."""
    record = state(signed.repo, remote="origin").versions[1]
    client = mlflow_at(signed.world)
    folder = Path(client.get_run(record.run).info.artifact_uri.removeprefix("file://")) / "ciml"
    file = folder / "provenance.json"
    before = file.read_bytes()
    envelope = msgspec.json.decode(before)
    statement = base64.b64decode(envelope["payload"])
    match change:
        case "gone":
            file.unlink()
        case "unsigned":
            file.write_bytes(statement)
        case "stranger":
            file.write_bytes(seal(statement, key_file=str(signed.key("other"))))
        case "another":
            file.write_bytes(
                seal(statement.replace(b'"model":"m"', b'"model":"n"'), key_file=str(signed.key("release")))
            )
        case _:
            file.write_bytes(before.replace(b'"sig":"', b'"sig":"AAAA'))


@pytest.fixture
def restored(signed: Signed) -> Iterator[Signed]:
    """The registry is the module's: what a test changes in it is put back."""
    record = state(signed.repo, remote="origin").versions[1]
    client = mlflow_at(signed.world)
    file = Path(client.get_run(record.run).info.artifact_uri.removeprefix("file://")) / "ciml/provenance.json"
    before = file.read_bytes()
    yield signed
    file.write_bytes(before)


def mlflow_at(world: Path) -> MlflowClient:
    uri = f"sqlite:///{world}/ml.db"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ("gone", 7, "the registry has no provenance for it"),
        ("unsigned", 6, "the provenance of m version 1 is not signed"),
        ("stranger", 6, "not among the signers"),
        ("another", 7, "is not the one that the ledger names"),
        ("broken", 7, "signature"),
    ],
)
def test_provenance_that_does_not_hold(restored: Signed, change: str, code: int, says: str) -> None:
    """Missing, unsigned, by a stranger, over another claim, or with a broken signature: exit 6 or 7."""
    provenance(restored, change)
    refused(restored, code, says, "--ref", "v1")


def test_a_champion_needs_signed_provenance_too(restored: Signed) -> None:
    """Without a tag there is none to be signed; the provenance still has to be."""
    assert restored.deploy().code == 0
    provenance(restored, "unsigned")
    answer = restored.deploy("--force")
    assert answer.code == 6 and "the provenance of m" in answer.err


def test_a_repository_that_was_renamed(signed: Signed) -> None:
    """The provenance names another repository: exit 6, and a person may say that it is this one."""
    point(signed.repo, signed.folder / "origin.git", "https://forge.example/acme/leavers")
    refused(signed, 6, "names another repository, https://forge.example/acme/churn", "--ref", "v1")
    assert signed.deploy("--ref", "v1", "--override", "--reason", "renamed").code == 0
