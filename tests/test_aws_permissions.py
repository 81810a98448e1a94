"""What the policies of templates/aws allow is what the store asks for, action by action, where IAM enforces them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ciml.adapters.ledgers.s3 import S3Ledger
from ciml.adapters.sources import S3Source
from ciml.adapters.stores.bucket import Bucket
from ciml.adapters.stores.local import LocalStore
from ciml.core.ids import Digest, ModelName, RepoPath
from ciml.core.results import Output, Record
from ciml.core.s3 import s3_address
from tests.adapters.stores.clones import Clones, object_key
from tests.adapters.stores.contract import record_of
from tests.s3proxy import Proxy, proxy
from tests.s3server import Service, moto
from tests.test_aws_templates import BUCKET, ROLES, checked, policy_of

LARGE = os.urandom(1 << 20) * 20
"""Goes and comes in parts."""

PEOPLE = ("PersonPolicy", "CollectorPolicy")
DAY_S = 86_400


class Account:
    """A bucket with a store in it, whose service checks what everybody may do."""

    def __init__(self, service: Service, folder: Path) -> None:
        self._folder = folder
        self._all = service
        client = service.client()
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        client.put_object(Bucket=BUCKET, Key="raw/a.csv", Body=b"id\n1\n")
        main = self.clones(service, "first")
        self.trusted = published(main, "main", LARGE)
        damaged = published(main, "main", b"damaged").outputs[0].digest
        main.overwrite(object_key(damaged), b"something else")
        client.create_multipart_upload(Bucket=BUCKET, Key=f"ciml/{object_key(Digest('0' * 64))}")
        main.close()
        policies = {name: policy_of(name) for name in (*ROLES, *PEOPLE)}
        # AWS asks whether each of many objects may be removed, moto whether the bucket may be.
        policies["CollectorPolicy"]["Statement"].append(
            {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": f"arn:aws:s3:::{BUCKET}"}
        )
        self.services = checked(service, policies)

    def clones(self, service: Service, name: str) -> Clones:
        return Clones(service, BUCKET, self._folder / name)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("moto")
    with moto(folder) as service:
        yield Account(service, folder)


def published(clones: Clones, space: str, data: bytes) -> Record:
    store = clones.open(space=space, reads=("main",))
    digest = store.put_bytes(data)
    return store.publish(record_of(digest, Output(path=RepoPath("f"), digest=digest, size=len(data))))


def reads(clones: Clones, account: Account, there: Proxy) -> None:
    """What everybody believes, and its bytes; data in S3 by its version."""
    store = clones.open(space=None, reads=("main",))
    assert store.record(account.trusted.key) == account.trusted
    store.pull([account.trusted.outputs[0].digest])
    local = LocalStore(str(clones.folder / "data"))
    source = S3Source(s3_address(f"s3://{BUCKET}/raw/"), there.service.environ, root=local.root)
    [found] = source.identified(source.objects())
    source.fetch([found])
    assert found.version and found.digest and local.read(found.digest) == b"id\n1\n"


def works(space: str, clones: Clones, account: Account, there: Proxy) -> None:
    """Reads, pushes many objects and a large one, writes a record, takes and ends a lease."""
    reads(clones, account, there)
    published(clones, space, LARGE + space.encode())
    store = clones.open(space=space, reads=("main",))
    store.push([store.put_bytes(f"{space} {number}".encode()) for number in range(30)])
    store.close()


def decides(clones: Clones, account: Account, there: Proxy) -> None:
    """Also admits a run's record to `main`, and appends to a ledger."""
    works("run/9-1", clones, account, there)
    record = published(clones, "run/9-1", b"model")
    clones.open(space="run/9-1").admit([record], to="main")
    below = Bucket(s3_address(f"s3://{BUCKET}/ledger"), there.service.environ)
    memory = str(clones.folder / "ledger")
    ledger = S3Ledger(ModelName("churn"), below, memory=f"{memory}/memory", pins=f"{memory}/pins")
    ledger.append(ledger.read(), [b"{}"])


def collects(clones: Clones, account: Account, there: Proxy) -> None:
    """Repairs, collects in two rounds, aborts what was given up, disowns; reads ledgers for what they name."""
    there.ahead_s = 3 * DAY_S
    store = clones.open(space=None)
    assert len(store.verify(repair=True).damaged) == 1
    for _ in range(2):
        store.gc([account.trusted.outputs[0].digest], grace_s=0)
    assert there.count("DELETE", "uploadId=") == 1
    store.disown(before_s=0)
    assert Bucket(s3_address(f"s3://{BUCKET}/ledger"), there.service.environ).read("churn/1") is None


WHAT: dict[str, Callable[[Clones, Account, Proxy], None]] = {
    "DeployRole": reads,
    "StageRole": partial(works, "run/9-1"),
    "PullRequestRole": partial(works, "pr/7"),
    "PersonPolicy": partial(works, "user/ada"),
    "TrustedRole": decides,
    "CollectorPolicy": collects,
}
"""Whom -> what the store does for them; the collector comes last."""


def action(method: str, path: str) -> str:
    """The action of IAM that a request needs.

    Source: Amazon S3 User Guide, "Required permissions for Amazon S3 API operations".
    """
    split = urlsplit(path)
    asked = parse_qs(split.query, keep_blank_values=True)
    whole = split.path.strip("/") == BUCKET
    match method:
        case "GET" if whole:
            return "s3:ListBucketMultipartUploads" if "uploads" in asked else "s3:ListBucket"
        case "GET" | "HEAD":
            return "s3:GetObjectVersion" if "versionId" in asked else "s3:GetObject"
        case "DELETE" if "uploadId" in asked:
            return "s3:AbortMultipartUpload"
        case "POST" if "uploads" in asked or "uploadId" in asked:
            return "s3:PutObject"
        case "PUT":
            return "s3:PutObject"
        case _:
            return "s3:DeleteObject"


def allowed(name: str) -> set[str]:
    """The actions that a policy of the template allows on anything."""
    found: set[str] = set()
    for statement in policy_of(name)["Statement"]:
        assert statement["Effect"] == "Allow" and "Condition" not in statement
        actions = statement["Action"]
        found.update([actions] if isinstance(actions, str) else actions)
    return found


@pytest.mark.parametrize("name", WHAT)
def test_each_does_its_work_with_its_policy_and_no_action_is_idle(account: Account, name: str) -> None:
    """IAM refuses nothing of push, pull, run, ledger, lease and collection; what was asked is what is allowed."""
    with proxy(account.services[name]) as there:
        clones = account.clones(there.service, name)
        WHAT[name](clones, account, there)
        clones.close()

    # Who may only read asks for a lease all the same, and does without.
    asked = [(method, path) for method, path in there.seen if name != "DeployRole" or "/leases/" not in path]
    assert {action(method, path) for method, path in asked} == allowed(name)


ROWS = {
    "who reads": ["DeployRole"],
    "a laptop,": ["PersonPolicy", "StageRole", "PullRequestRole"],
    "the last job": ["TrustedRole"],
    "`ciml store gc`": ["CollectorPolicy"],
}
"""How a row of docs/store.md begins -> whose it is."""


def test_the_page_says_the_same(pytestconfig: pytest.Config) -> None:
    """docs/store.md names the same actions; a row that says `also` stands below what it adds to."""
    page = (pytestconfig.rootpath / "docs/store.md").read_text()
    data = {"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"}
    assert _actions(_row(page, "who reads data")) == data
    before: set[str] = set()
    for start, names in ROWS.items():
        row = _row(page, start)
        before = _actions(row) | (before if "| also" in row else set())
        for name in names:
            assert before | (set() if name == "CollectorPolicy" else data) == allowed(name), name


def _row(page: str, start: str) -> str:
    rows: Sequence[str] = [line for line in page.splitlines() if line.startswith(f"| {start}")]
    return rows[0]


def _actions(row: str) -> set[str]:
    return set(re.findall(r"s3:\w+", row))
