"""A target that is a SageMaker endpoint: a copy of what serves there, with the new model data in it.

The endpoint, its instances, its container and its role are the user's: ciml changes the model data
and nothing else. The data is a `model.tar.gz` of the version's files, uploaded beside the data
that serves now, where the endpoint's role can read. The update is blue/green; where the endpoint was
last updated with alarms, they roll it back by themselves.

Source: SageMaker API, CreateModel, CreateEndpointConfig, UpdateEndpoint (blue/green, AutoRollbackConfiguration).
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ciml.adapters.aws import asking, client
from ciml.core.deployment import DeployOrder
from ciml.core.errors import DeploymentError, ServiceError
from ciml.core.ids import Digest
from ciml.core.key import digest
from ciml.core.value import Value

if TYPE_CHECKING:
    from ciml.adapters.deployers.process import Commands

POLL_S = 15.0

_UNDER_WAY = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
"""States of an endpoint that pass by themselves; until then it takes no update."""

_S3 = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)")
_ACTIONS = (
    "sagemaker:Describe*, sagemaker:CreateModel, sagemaker:CreateEndpointConfig, sagemaker:UpdateEndpoint, "
    "iam:PassRole, and s3:PutObject beside the endpoint's model data,"
)
_OF_CONFIG = (
    "DataCaptureConfig",
    "KmsKeyId",
    "AsyncInferenceConfig",
    "VpcConfig",
    "ExecutionRoleArn",
    "EnableNetworkIsolation",
    "ExplainerConfig",
)
_OF_MODEL = ("ExecutionRoleArn", "VpcConfig", "EnableNetworkIsolation", "InferenceExecutionConfig")
_BLUE_GREEN = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
        "TerminationWaitInSeconds": 0,
    }
}


class Clients(Value, frozen=True, kw_only=True):
    """AWS, with the region and the credentials in force."""

    sagemaker: Callable[[], Any]
    s3: Callable[[], Any]


class SageMakerDeployer:
    """The port Deployer for `sagemaker:`.

    Args:
        clients: of AWS.
        sleep: waits so many seconds.
        clock: seconds, from any moment.
        poll_s: between two looks at an endpoint that is being updated.
    """

    def __init__(
        self,
        clients: Clients,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        poll_s: float = POLL_S,
    ) -> None:
        self._clients = clients
        self._sleep = sleep
        self._clock = clock
        self._poll_s = poll_s
        self._before: tuple[str, str, float] | None = None
        """Endpoint, configuration and timeout of what served before `deploy`."""

    def deploy(self, order: DeployOrder, files: str) -> str:
        """Update the endpoint to a copy of its configuration that has the version's files."""
        endpoint = order.target.sagemaker_endpoint
        assert endpoint is not None, f"{order.name} has no endpoint"
        with _asking(f"update the endpoint {endpoint}", endpoint):
            sagemaker = self._clients.sagemaker()
            now = self._settled(endpoint, order.target.timeout_s)
            serving = now["EndpointConfigName"]
            config = sagemaker.describe_endpoint_config(EndpointConfigName=serving)
            variant = _only_variant(config, endpoint)
            model = self._model(order, variant["ModelName"], files)
            wanted = self._config(order, config, variant, model)
            self._before = (endpoint, serving, order.target.timeout_s)
            if wanted != serving:
                self._update(endpoint, wanted, now, order.target.timeout_s)
        return f"{endpoint} serves {wanted}"

    def restore(self, before: DeployOrder | None, files: str | None) -> str:
        """Update the endpoint to the configuration that it had, whoever had made that."""
        del before, files
        if self._before is None:
            raise DeploymentError("what the endpoint served before is not known")
        endpoint, config, timeout_s = self._before
        with _asking(f"put back {config} on the endpoint {endpoint}", endpoint):
            now = self._settled(endpoint, timeout_s)
            if now["EndpointConfigName"] != config:
                self._update(endpoint, config, now, timeout_s)
        return f"{endpoint} serves {config} again"

    def serves(self, endpoint: str, deployment: Digest) -> bool:
        """Whether the endpoint serves what a deployment of this id brought."""
        with _asking(f"look at the endpoint {endpoint}", endpoint):
            found = self._clients.sagemaker().describe_endpoint(EndpointName=endpoint)
        return _mark(deployment) in found["EndpointConfigName"]

    # What is made for a version. Names come from contents, so that the same order again finds it made.

    def _model(self, order: DeployOrder, serving: str, files: str) -> str:
        sagemaker = self._clients.sagemaker()
        like = sagemaker.describe_model(ModelName=serving)
        container = dict(like.get("PrimaryContainer") or {})
        if "ModelDataUrl" not in container:
            raise DeploymentError(
                f"the model {serving} has no single container with a ModelDataUrl",
                hint="ciml exchanges the model.tar.gz of an endpoint with one container; use `run:` for others.",
            )
        container["ModelDataUrl"] = self._upload(order, container["ModelDataUrl"], files)
        container.pop("ModelDataSource", None)  # describes the same address once more
        wanted = {**{name: like[name] for name in _OF_MODEL if like.get(name)}, "PrimaryContainer": container}
        name = _name(f"ciml-{order.model}-{order.version}", order, wanted)
        self._make(lambda: sagemaker.create_model(ModelName=name, **wanted))
        return name

    def _config(self, order: DeployOrder, like: Mapping[str, Any], variant: Mapping[str, Any], model: str) -> str:
        sagemaker = self._clients.sagemaker()
        wanted = {name: like[name] for name in _OF_CONFIG if like.get(name)}
        wanted["ProductionVariants"] = [{**variant, "ModelName": model}]
        name = _name(f"ciml-{order.model}-{order.version}", order, wanted)
        self._make(lambda: sagemaker.create_endpoint_config(EndpointConfigName=name, **wanted))
        return name

    def _make(self, create: Callable[[], object]) -> None:
        """Create what an earlier attempt may have created: the same name has the same contents."""
        from botocore.exceptions import ClientError

        try:
            create()
        except ClientError as error:
            if "already exist" not in str(error):
                raise

    def _upload(self, order: DeployOrder, beside: str, files: str) -> str:
        found = _S3.fullmatch(beside)
        if found is None:
            raise DeploymentError(f"the endpoint's model data is at {beside}, which is no S3 address")
        folder = found["key"].rpartition("/")[0]
        key = f"{folder}/ciml-{order.model}-{order.artifact.digest}.tar.gz".lstrip("/")
        with tempfile.TemporaryDirectory(prefix="ciml-") as scratch:
            packed = os.path.join(scratch, "model.tar.gz")
            pack(files, packed)
            self._clients.s3().upload_file(
                packed,
                found["bucket"],
                key,
                ExtraArgs={"ChecksumAlgorithm": "SHA256", "ContentType": "application/gzip"},
            )
        return f"s3://{found['bucket']}/{key}"

    # The endpoint.

    def _update(self, endpoint: str, config: str, now: Mapping[str, Any], timeout_s: float) -> None:
        self._clients.sagemaker().update_endpoint(
            EndpointName=endpoint, EndpointConfigName=config, DeploymentConfig=_deployment_config(now)
        )
        after = self._settled(endpoint, timeout_s)
        if after["EndpointConfigName"] != config or after["EndpointStatus"] != "InService":
            raise DeploymentError(
                f"the endpoint {endpoint} is {after['EndpointStatus']} with {after['EndpointConfigName']}: "
                f"{after.get('FailureReason') or 'SageMaker rolled the update back'}"
            )

    def _settled(self, endpoint: str, timeout_s: float) -> dict[str, Any]:
        """The endpoint, once nothing is being done to it."""
        end = self._clock() + timeout_s
        while True:
            found: dict[str, Any] = self._clients.sagemaker().describe_endpoint(EndpointName=endpoint)
            if found["EndpointStatus"] not in _UNDER_WAY:
                return found
            if self._clock() >= end:
                raise DeploymentError(
                    f"the endpoint {endpoint} is still {found['EndpointStatus']} after {timeout_s:g} s"
                )
            self._sleep(self._poll_s)


def _only_variant(config: Mapping[str, Any], endpoint: str) -> dict[str, Any]:
    variants = config["ProductionVariants"]
    if len(variants) != 1:
        raise DeploymentError(
            f"the endpoint {endpoint} has {len(variants)} variants, and which of them the version replaces is not said",
            hint="ciml updates endpoints with one variant; use `run:` for others.",
        )
    return dict(variants[0])


def _deployment_config(now: Mapping[str, Any]) -> dict[str, Any]:
    """Blue/green; as the endpoint was updated last, alarms included, where somebody chose how."""
    return dict(now.get("LastDeploymentConfig") or _BLUE_GREEN)


def _name(prefix: str, order: DeployOrder, contents: Mapping[str, Any]) -> str:
    """At most 63 letters, digits and hyphens: readable, the order's id, and of these contents alone."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", prefix).strip("-")[:36].strip("-")
    return f"{readable}-{_mark(order.id)}-{digest('ciml/sagemaker/1', dict(contents))[:8]}"


def _mark(deployment: Digest) -> str:
    """By which a deployment is known in the name of a configuration."""
    return deployment[:16]


def pack(files: str, target: str) -> None:
    """Write a tar.gz of a file, or of all that is in a folder: the same bytes for the same files."""
    with (
        open(target, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=1) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        names = sorted(os.listdir(files)) if os.path.isdir(files) else [""]
        for name in names:
            archive.add(os.path.join(files, name) if name else files, name or os.path.basename(files), filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = 0
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


@contextmanager
def _asking(what: str, endpoint: str) -> Iterator[None]:
    try:
        with asking(what, action=_ACTIONS, resource=endpoint):
            yield
    except ServiceError as error:
        if "Could not find endpoint" not in error.message:
            raise
        raise DeploymentError(
            f"cannot {what}: there is none of that name",
            hint="Create it once, with its container, instance type and role; ciml exchanges its model data.",
        ) from error


def deployer(commands: Commands, environ: Mapping[str, str]) -> SageMakerDeployer:
    """The deployer of such targets."""
    del commands
    return SageMakerDeployer(clients(environ))


def clients(environ: Mapping[str, str]) -> Clients:
    """AWS, with the region and the credentials of an environment."""
    return Clients(sagemaker=lambda: client("sagemaker", environ), s3=lambda: client("s3", environ, read_timeout_s=300))
