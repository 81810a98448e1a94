"""templates/aws: what it makes is clean under cfn-lint, and its policies hold where IAM enforces them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ciml.adapters.ledgers.s3 import S3Ledger
from ciml.adapters.stores.bucket import Bucket
from ciml.core.errors import CimlError, ExitCode, TrustError
from ciml.core.ids import Digest, ModelName, RepoPath
from ciml.core.oidc import trust_faults
from ciml.core.results import Output, Record
from ciml.core.s3 import s3_address
from tests.adapters.stores.clones import Clones
from tests.adapters.stores.contract import record_of
from tests.s3server import KEYS, Service, moto

TEMPLATE = Path(__file__).parent.parent / "templates/aws/store.yaml"
BUCKET = "acme-ml"
VALUES = {"Repository": "acme/churn", "DeployEnvironment": "production", "BucketName": BUCKET}
ROLES = ("TrustedRole", "StageRole", "PullRequestRole", "DeployRole")

WRITES = {
    "ciml/objects/ab/cd": "TrustedRole StageRole PullRequestRole",
    "ciml/leases/1": "TrustedRole StageRole PullRequestRole",
    "ciml/records/main/ab/cd": "TrustedRole",
    "ciml/records/run/9-1/ab/cd": "TrustedRole StageRole",
    "ciml/records/pr/7/ab/cd": "PullRequestRole",
    "ciml/records/group/7/ab/cd": "PullRequestRole",
    "ciml/records/branch/x/ab/cd": "PullRequestRole",
    "ciml/records/user/ada/ab/cd": "",
    "ciml/state": "",
    "ciml/marks/1": "",
    "ciml/condemned/1": "",
    "ledger/churn/00000001": "TrustedRole",
    "elsewhere": "",
}
"""Key -> the roles that may write it."""


def template(**parameters: str) -> dict[str, Any]:
    """The template, with parameters and other resources put in."""

    class Loader(yaml.SafeLoader):
        pass

    text = TEMPLATE.read_text()
    defaults = {name: item.get("Default") for name, item in _plain(text)["Parameters"].items()}
    values = {**defaults, **VALUES, **parameters, "Bucket": BUCKET, "Bucket.Arn": f"arn:aws:s3:::{BUCKET}"}

    def named(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
        assert isinstance(node, yaml.ScalarNode)
        return values.get(node.value, f"the {node.value}")

    def substituted(loader: yaml.SafeLoader, node: yaml.Node) -> str:
        assert isinstance(node, yaml.ScalarNode)
        return re.sub(r"\$\{(.*?)\}", lambda match: str(values[match[1]]), node.value)

    conditions = {"MakesProvider": True, "StagesHaveSecrets": values["StageEnvironment"] != ""}

    def chosen(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
        assert isinstance(node, yaml.SequenceNode)
        return loader.construct_object(node.value[1 if conditions[node.value[0].value] else 2], deep=True)

    for tag, constructor in (("!Ref", named), ("!GetAtt", named), ("!Sub", substituted), ("!If", chosen)):
        Loader.add_constructor(tag, constructor)
    for tag in ("!Not", "!Equals"):
        Loader.add_constructor(tag, lambda loader, node: None)
    document: dict[str, Any] = yaml.load(text, Loader)
    for role in ROLES:
        [statement] = document["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        subjects = statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
        subjects[:] = [subject for subject in subjects if subject != "the AWS::NoValue"]
    return document


def _plain(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(re.sub(r"!(\w+)", "", text))
    return document


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Service]]:
    """Role -> the service as who has taken it, in an account that checks what everybody may do."""
    with moto(tmp_path_factory.mktemp("moto")) as service:
        service.client().create_bucket(Bucket=BUCKET)
        yield checked(service, {name: policy_of(name) for name in ROLES})


def policy_of(name: str) -> dict[str, Any]:
    """What a role, or who has a managed policy, may do."""
    properties = template()["Resources"][name]["Properties"]
    document: dict[str, Any] = properties.get("PolicyDocument") or properties["Policies"][0]["PolicyDocument"]
    return document


def checked(service: Service, policies: dict[str, dict[str, Any]]) -> dict[str, Service]:
    """Name -> the service as who may do what a policy says; from here on everybody is checked."""
    iam = service.client("iam")
    found = {}
    for name, policy in policies.items():
        # Whom a role trusts is looked at by itself: moto has no tokens of GitHub's.
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": []}))
        iam.put_role_policy(RoleName=name, PolicyName="store", PolicyDocument=json.dumps(policy))
        arn = f"arn:aws:iam::123456789012:role/{name}"
        taken = service.client("sts").assume_role(RoleArn=arn, RoleSessionName="job")["Credentials"]
        keys = {
            **KEYS,
            "AWS_ACCESS_KEY_ID": taken["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": taken["SecretAccessKey"],
            "AWS_SESSION_TOKEN": taken["SessionToken"],
        }
        found[name] = Service(service.endpoint, keys)
    ask = urllib.request.Request(
        f"{service.endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
    )
    with urllib.request.urlopen(ask, timeout=30):
        return found


def bucket_of(service: Service) -> Bucket:
    return Bucket(s3_address(f"s3://{BUCKET}"), service.environ, attempts=1)


def test_the_template_is_clean() -> None:
    """cfn-lint finds nothing, with its informational rules on."""
    done = subprocess.run(
        [f"{Path(sys.executable).parent}/cfn-lint", "-c", "I", "--", str(TEMPLATE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("role", "subjects"),
    [
        ("TrustedRole", ["repo:acme/churn:environment:ciml"]),
        ("StageRole", ["repo:acme/churn:ref:refs/heads/main"]),
        ("PullRequestRole", ["repo:acme/churn:pull_request", "repo:acme/churn:environment:ciml-untrusted"]),
        ("DeployRole", ["repo:acme/churn:environment:production"]),
    ],
)
def test_roles_name_who_may_take_them(role: str, subjects: list[str]) -> None:
    """By StringEquals, subject and audience; `ciml doctor` finds nothing wrong with them."""
    policy = template()["Resources"][role]["Properties"]["AssumeRolePolicyDocument"]

    [statement] = policy["Statement"]
    assert list(statement["Condition"]) == ["StringEquals"]
    assert statement["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"] == subjects
    # The provider's ARN is known once it is made.
    statement["Principal"] = {
        "Federated": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    }
    assert trust_faults(policy, repository="acme/churn", pull_requests=role == "PullRequestRole") == ()


def test_the_bucket_keeps_what_it_has() -> None:
    """Versioned, encrypted, closed to the public, kept when the stack goes; what was given up is cleared away."""
    bucket = template()["Resources"]["Bucket"]
    properties = bucket["Properties"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    rules = properties["LifecycleConfiguration"]["Rules"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert rules[1]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}


@pytest.mark.parametrize("role", ROLES)
def test_who_may_write_what(account: dict[str, Service], role: str) -> None:
    """Every prefix of store and ledger, as every role: written, or refused with the permission that is missing."""
    bucket = bucket_of(account[role])
    allowed = set()
    for name in WRITES:
        try:
            bucket.overwrite(name, b"x")
            allowed.add(name)
        except TrustError as error:
            assert f"s3:PutObject on arn:aws:s3:::{BUCKET}/{name}" in str(error.hint)

    assert allowed == {name for name, roles in WRITES.items() if role in roles.split()}


@pytest.mark.parametrize("role", ROLES)
def test_nobody_removes_what_others_need(account: dict[str, Service], role: str) -> None:
    """No job may remove an object, a record or an entry of the ledger; leases end."""
    bucket = bucket_of(account[role])
    for name in ("ciml/objects/ab/cd", "ciml/records/main/ab/cd", "ledger/churn/00000001"):
        with pytest.raises(TrustError):
            bucket.remove(name)
    if role != "DeployRole":
        bucket.remove("ciml/leases/1")


def published(clones: Clones, service: Service, space: str) -> Record:
    store = clones.open(space=space, reads=("main",), by=service)
    output = Output(path=RepoPath("model"), digest=store.put_bytes(space.encode()), size=len(space))
    return store.publish(record_of(space, output))


def test_a_pull_request_cannot_write_what_is_believed(account: dict[str, Service], tmp_path: Path) -> None:
    """A job that tries a trusted prefix all the same gets IAM's refusal, exit 6; its own prefix works."""
    clones = Clones(account["PullRequestRole"], BUCKET, tmp_path)
    try:
        mine = published(clones, account["PullRequestRole"], "pr/7")
        assert clones.names(f"records/pr/7/{mine.key[:2]}/") == [f"records/pr/7/{mine.key[:2]}/{mine.key[2:]}"]
        for space in ("main", "run/9-1"):
            with pytest.raises(TrustError) as caught:
                published(clones, account["PullRequestRole"], space)
            assert caught.value.code is ExitCode.TRUST
            assert f"records/{space}/" in str(caught.value.hint) and "s3:PutObject" in str(caught.value.hint)
        assert not [name for name in clones.names("records/main/") if len(name) > 40]
        trusted = published(clones, account["TrustedRole"], "main")
        assert clones.open(space="pr/7", reads=("main",)).record(Digest(trusted.key)) == trusted
    finally:
        clones.close()


@pytest.mark.parametrize("role", ROLES)
def test_who_may_write_the_ledger(account: dict[str, Service], role: str, tmp_path: Path) -> None:
    """Whoever judges, and nobody else: exit 6."""
    ledger = S3Ledger(
        ModelName("churn"),
        Bucket(s3_address(f"s3://{BUCKET}/ledger/{role}"), account[role].environ, attempts=1),
        memory=str(tmp_path / "memory"),
        pins=str(tmp_path / "pins"),
    )
    refused: CimlError | None = None
    try:
        ledger.append(ledger.read(), [b"{}"])
    except TrustError as error:
        refused = error
    assert (refused is None) == (role == "TrustedRole")
