"""SageMaker endpoints, against moto and botocore's own description of the service."""

from __future__ import annotations

import hashlib
import io
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from ciml.adapters.deployers.sagemaker import SageMakerDeployer, clients, pack
from ciml.core.deployment import DeployOrder, deployment_id, restoring
from ciml.core.errors import CimlError, DeploymentError, TrustError
from ciml.core.ids import CommitSha, Digest, ModelName, RepoPath
from ciml.core.pipeline import DeployTarget
from ciml.core.results import Output
from tests.awsserver import Aws, aws_server

ROLE = "arn:aws:iam::123456789012:role/serves"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.4-2"


@pytest.fixture(scope="module")
def service() -> Iterator[Aws]:
    with aws_server() as running:
        yield running


class Endpoint:
    """An endpoint that somebody made by hand, and what deploys to it."""

    def __init__(self, aws: Aws, folder: Path) -> None:
        self.aws, self.folder = aws, folder
        self.name = f"churn-{secrets.token_hex(4)}"
        self.bucket = f"models-{secrets.token_hex(4)}"
        self.waits: list[float] = []
        aws.client("s3").create_bucket(Bucket=self.bucket)
        sagemaker = aws.client("sagemaker")
        container = {
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{self.bucket}/serving/first.tar.gz",
            "Environment": {"A": "b"},
        }
        sagemaker.create_model(ModelName=f"{self.name}-m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {
            "VariantName": "all",
            "ModelName": f"{self.name}-m",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 2,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=f"{self.name}-c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=f"{self.name}-c")

    def deployer(self) -> SageMakerDeployer:
        clock = iter(range(10**6))
        return SageMakerDeployer(
            clients(self.aws.environ), sleep=self.waits.append, clock=lambda: float(next(clock)), poll_s=1
        )

    def order(self, version: int, *, timeout_s: float = 3600) -> DeployOrder:
        digest = Digest(hashlib.sha256(f"bytes of {version}".encode()).hexdigest())
        return DeployOrder(
            id=deployment_id("production", ModelName("churn"), version, "v1"),
            model=ModelName("churn"),
            version=version,
            artifact=Output(path=RepoPath("build/model"), digest=digest, size=1, directory=True),
            commit=CommitSha("c" * 40),
            ref="v1",
            target=DeployTarget(name="production", after="release", sagemaker_endpoint=self.name, timeout_s=timeout_s),
        )

    def files(self, version: int) -> str:
        folder = self.folder / str(version)
        (folder / "code").mkdir(parents=True, exist_ok=True)
        (folder / "model.skops").write_text(f"weights of {version}")
        (folder / "code" / "inference.py").write_text("print(1)")
        return str(folder)

    def deploy(self, version: int) -> str:
        return self.deployer().deploy(self.order(version), self.files(version))

    def serving(self) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Configuration, its variant and its model's container, as AWS says."""
        sagemaker = self.aws.client("sagemaker")
        config = sagemaker.describe_endpoint(EndpointName=self.name)["EndpointConfigName"]
        [variant] = sagemaker.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
        return config, variant, sagemaker.describe_model(ModelName=variant["ModelName"])


@pytest.fixture
def endpoint(service: Aws, tmp_path: Path) -> Endpoint:
    service.updates.clear()
    service.updating, service.alarm = 0, False
    return Endpoint(service, tmp_path)


def test_the_model_data_is_exchanged_and_nothing_else(endpoint: Endpoint) -> None:
    """Instances, image, role and environment stay; the data is a tar.gz of the version's files, beside the old one."""
    assert endpoint.deploy(3).startswith(f"{endpoint.name} serves ciml-churn-3-")
    config, variant, model = endpoint.serving()

    assert (variant["InstanceType"], variant["InitialInstanceCount"], variant["VariantName"]) == (
        "ml.m5.large",
        2,
        "all",
    )
    container = model["PrimaryContainer"]
    assert (container["Image"], container["Environment"], model["ExecutionRoleArn"]) == (IMAGE, {"A": "b"}, ROLE)
    digest = endpoint.order(3).artifact.digest
    assert container["ModelDataUrl"] == f"s3://{endpoint.bucket}/serving/ciml-churn-{digest}.tar.gz"
    data = endpoint.aws.client("s3").get_object(Bucket=endpoint.bucket, Key=f"serving/ciml-churn-{digest}.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(data["Body"].read())) as archive:
        assert archive.getnames() == ["code", "code/inference.py", "model.skops"]
    assert len(config) <= 63 and len(variant["ModelName"]) <= 63


def test_updates_are_blue_green(endpoint: Endpoint) -> None:
    """All at once onto new instances; where somebody chose another way, alarms included, that is kept."""
    endpoint.deploy(1)
    assert endpoint.aws.updates[0]["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == {
        "Type": "ALL_AT_ONCE",
        "WaitIntervalInSeconds": 0,
    }
    chosen = {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 10},
            "WaitIntervalInSeconds": 60,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "churn-5xx"}]},
    }
    endpoint.aws.endpoints[endpoint.name]["LastDeploymentConfig"] = chosen
    endpoint.deploy(2)
    assert endpoint.aws.updates[1]["DeploymentConfig"] == chosen


def test_an_update_is_waited_for(endpoint: Endpoint) -> None:
    """Until the endpoint is in service again; one that somebody else is updating is waited for first."""
    endpoint.aws.updating = 3
    endpoint.deploy(1)
    assert endpoint.waits == [1, 1, 1]


def test_an_update_that_takes_too_long(endpoint: Endpoint) -> None:
    """Its timeout is an error that says how it stands."""
    endpoint.aws.updating = 10**6
    with pytest.raises(DeploymentError, match=r"is still Updating after 5 s"):
        endpoint.deployer().deploy(endpoint.order(1, timeout_s=5), endpoint.files(1))


def test_an_alarm_rolls_back(endpoint: Endpoint) -> None:
    """What SageMaker rolled back by itself is a failure with its reason; what served before serves."""
    endpoint.aws.alarm = True
    with pytest.raises(DeploymentError, match="alarm m-5xx went off"):
        endpoint.deploy(1)
    assert endpoint.serving()[0] == f"{endpoint.name}-c"


def test_a_roll_back_is_waited_for(endpoint: Endpoint) -> None:
    """While SageMaker rolls back it takes no other update: how it ended is told once it has ended."""
    endpoint.aws.alarm, endpoint.aws.updating = True, 3
    with pytest.raises(DeploymentError, match=r"is InService with .*alarm m-5xx went off"):
        endpoint.deploy(1)
    assert endpoint.waits == [1, 1, 1]


def test_putting_back(endpoint: Endpoint) -> None:
    """The configuration of before, also one that ciml never made."""
    deployer = endpoint.deployer()
    deployer.deploy(endpoint.order(1), endpoint.files(1))
    assert deployer.restore(None, None) == f"{endpoint.name} serves {endpoint.name}-c again"
    assert endpoint.serving()[0] == f"{endpoint.name}-c"
    updates = len(endpoint.aws.updates)
    deployer.restore(restoring(endpoint.order(1)), None)
    assert len(endpoint.aws.updates) == updates  # it serves already
    with pytest.raises(DeploymentError, match="is not known"):
        endpoint.deployer().restore(None, None)


def test_c151_the_same_order_again(endpoint: Endpoint) -> None:
    """An order that was killed half-way, or is done, comes to the same configuration; nothing is made twice."""
    first = endpoint.deploy(1)
    assert endpoint.deploy(1) == first
    assert len(endpoint.aws.updates) == 1
    endpoint.deploy(2)
    assert endpoint.deploy(1) == first
    assert [update["EndpointConfigName"] for update in endpoint.aws.updates][::2] == [first.split()[-1]] * 2


def test_instances_that_were_changed_since_are_kept(endpoint: Endpoint) -> None:
    """Going back to an earlier version does not go back to the instances of then."""
    endpoint.deploy(1)
    config, variant, _ = endpoint.serving()
    sagemaker = endpoint.aws.client("sagemaker")
    more = {**variant, "InitialInstanceCount": 5}
    sagemaker.create_endpoint_config(EndpointConfigName=f"{endpoint.name}-more", ProductionVariants=[more])
    sagemaker.update_endpoint(EndpointName=endpoint.name, EndpointConfigName=f"{endpoint.name}-more")
    endpoint.deploy(1)

    after, variant, _ = endpoint.serving()
    assert after != config and variant["InitialInstanceCount"] == 5


def test_it_says_what_it_serves(endpoint: Endpoint) -> None:
    """By the deployment's id; not another one, and not what somebody put there by hand."""
    endpoint.deploy(1)
    deployer = endpoint.deployer()
    assert deployer.serves(endpoint.name, endpoint.order(1).id)
    assert not deployer.serves(endpoint.name, endpoint.order(2).id)


def test_an_endpoint_that_is_not_there(endpoint: Endpoint) -> None:
    """It is made by hand, once, and the hint says so."""
    endpoint.name = "nowhere"
    with pytest.raises(DeploymentError, match="there is none of that name") as caught:
        endpoint.deploy(1)
    assert "Create it once" in (caught.value.hint or "")


def test_endpoints_that_are_not_understood(endpoint: Endpoint) -> None:
    """Two variants, a model without one container's data: refused, and nothing is updated."""
    sagemaker = endpoint.aws.client("sagemaker")
    _, variant, _ = endpoint.serving()
    two = [{**variant, "VariantName": name} for name in ("a", "b")]
    sagemaker.create_endpoint_config(EndpointConfigName=f"{endpoint.name}-two", ProductionVariants=two)
    sagemaker.update_endpoint(EndpointName=endpoint.name, EndpointConfigName=f"{endpoint.name}-two")
    with pytest.raises(DeploymentError, match="has 2 variants"):
        endpoint.deploy(1)

    sagemaker.create_model(ModelName=f"{endpoint.name}-bare", PrimaryContainer={"Image": IMAGE}, ExecutionRoleArn=ROLE)
    bare = [{**variant, "ModelName": f"{endpoint.name}-bare"}]
    sagemaker.create_endpoint_config(EndpointConfigName=f"{endpoint.name}-bare", ProductionVariants=bare)
    sagemaker.update_endpoint(EndpointName=endpoint.name, EndpointConfigName=f"{endpoint.name}-bare")
    updates = len(endpoint.aws.updates)
    with pytest.raises(DeploymentError, match="no single container with a ModelDataUrl"):
        endpoint.deploy(1)
    assert len(endpoint.aws.updates) == updates


def test_a_bucket_that_may_not_be_written(endpoint: Endpoint) -> None:
    """What AWS refuses is one of ciml's errors, before the endpoint is touched."""
    bucket = endpoint.bucket
    endpoint.aws.client("s3").delete_bucket(Bucket=bucket)
    with pytest.raises(CimlError):
        endpoint.deploy(1)
    assert endpoint.aws.updates == []
    no_keys = {name: value for name, value in endpoint.aws.environ.items() if "KEY" not in name}
    deployer = SageMakerDeployer(clients({**no_keys, "AWS_EC2_METADATA_DISABLED": "true"}))
    with pytest.raises(TrustError):
        deployer.deploy(endpoint.order(1), endpoint.files(1))


def test_what_is_described_can_be_created() -> None:
    """By botocore's description: all that is copied from an endpoint's configuration and model fits a new one."""
    model = botocore.session.get_session().get_service_model("sagemaker")

    def shape(operation: str, kind: str, *path: str) -> set[str]:
        found: Any = getattr(model.operation_model(operation), f"{kind}_shape")
        for step in path:
            found = found.members[step]
            found = found.member if found.type_name == "list" else found
        return set(found.members)

    for path in ((), ("ProductionVariants",)):
        made = shape("CreateEndpointConfig", "input", *path)
        told = shape("DescribeEndpointConfig", "output", *path)
        assert told - made <= {"EndpointConfigArn", "CreationTime"}
    for path in ((), ("PrimaryContainer",)):
        made, told = shape("CreateModel", "input", *path), shape("DescribeModel", "output", *path)
        assert told - made <= {"ModelArn", "CreationTime", "DeploymentRecommendation"}
    assert shape("DescribeEndpoint", "output", "LastDeploymentConfig") == shape(
        "UpdateEndpoint", "input", "DeploymentConfig"
    )


def test_the_same_files_make_the_same_archive(endpoint: Endpoint) -> None:
    """Whenever and by whomever it is packed; a model that is one file is that file."""
    files = endpoint.files(1)
    one, two = endpoint.folder / "one", endpoint.folder / "two"
    pack(files, str(one))
    (Path(files) / "model.skops").touch()
    pack(files, str(two))
    assert one.read_bytes() == two.read_bytes()
    pack(f"{files}/model.skops", str(one))
    with tarfile.open(one) as archive:
        assert archive.getnames() == ["model.skops"]
