"""Deploying through an AWS Lambda function."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ciml.adapters import aws
from ciml.adapters.deployers.lambda_ import LambdaDeployer
from ciml.core.deployment import DeployOrder, Served, deployment_id, restoring
from ciml.core.errors import ConfigurationError, DeploymentError, ServiceError
from ciml.core.ids import CommitSha, Digest, ModelName, RepoPath
from ciml.core.pipeline import DeployTarget
from ciml.core.results import Output
from tests.awsserver import KEYS, Aws, aws_server, validate

MODEL = Output(path=RepoPath("model.pkl"), digest=Digest("a" * 64), size=3)
ORDER = DeployOrder(
    id=deployment_id("production", ModelName("churn"), 3, "v1"),
    model=ModelName("churn"),
    version=3,
    artifact=MODEL,
    files={"model.pkl": MODEL.digest},
    commit=CommitSha("c" * 40),
    ref="v1",
    target=DeployTarget(name="production", after="release", lambda_function="churn-deploy"),
    previous=Served(version=2, artifact=MODEL, ref="v0"),
    store="s3://acme-ml/ciml",
)


@pytest.fixture(scope="module")
def service() -> Iterator[Aws]:
    with aws_server() as running:
        yield running


@pytest.fixture
def deployer(service: Aws) -> LambdaDeployer:
    service.orders.clear()
    service.answer = (200, {}, b'"done"')
    return LambdaDeployer(lambda: aws.client("lambda", service.environ, attempts=1, read_timeout_s=5))


def test_the_function_gets_the_order(service: Aws, deployer: LambdaDeployer) -> None:
    """Model, version, files by digest, where they are, and an id by which it knows the same order again."""
    assert deployer.deploy(ORDER, "/nowhere") == "done"
    [payload] = service.orders

    assert (payload["format"], payload["id"], payload["environment"]) == ("ciml/deployment/1", ORDER.id, "production")
    assert (payload["model"], payload["version"], payload["uri"]) == ("churn", 3, "models:/churn/3")
    assert payload["files"] == {"model.pkl": "a" * 64} and payload["store"] == "s3://acme-ml/ciml"
    assert payload["previous"]["version"] == 2 and payload["commit"] == "c" * 40
    assert "X-Amz-" not in json.dumps(payload)  # no presigned address
    validate("lambda", "Invoke", {"FunctionName": "churn-deploy", "Payload": json.dumps(payload).encode()})


def test_putting_back_is_the_order_of_before(service: Aws, deployer: LambdaDeployer) -> None:
    """The function is invoked with the version that served before; without one there is nothing to put back."""
    assert deployer.restore(restoring(ORDER), "/nowhere") == "version 2 was deployed again"
    assert (service.orders[0]["version"], service.orders[0]["ref"]) == (2, "v0")
    with pytest.raises(DeploymentError, match="nothing that served there before"):
        deployer.restore(None, None)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"errorMessage": "no\\nsuch table", "errorType": "KeyError"}', "no such table"),
        (b'{"other": 1}', '{"other": 1}'),
        (b"not json", "not json"),
        (b"null", "failed: $"),
        (b'"' + b"x" * 1000 + b'"', "x{300}$"),
    ],
)
def test_a_function_that_fails(service: Aws, deployer: LambdaDeployer, body: bytes, says: str) -> None:
    """Its words, on one line and of bounded length."""
    service.answer = (200, {"X-Amz-Function-Error": "Unhandled"}, body)
    with pytest.raises(DeploymentError, match=says):
        deployer.deploy(ORDER, "/nowhere")


def test_a_function_that_is_not_there(service: Aws, deployer: LambdaDeployer) -> None:
    """What AWS refuses is one of ciml's errors, with the function's name; nothing is asked twice."""
    service.answer = (404, {"x-amzn-errortype": "ResourceNotFoundException"}, b'{"Message":"Function not found"}')
    with pytest.raises(ServiceError, match="cannot invoke the function churn-deploy: ResourceNotFoundException"):
        deployer.deploy(ORDER, "/nowhere")
    service.answer = (500, {}, b"{}")
    with pytest.raises(ServiceError):
        deployer.deploy(ORDER, "/nowhere")
    assert len(service.orders) == 2


def test_a_lost_answer_is_not_asked_for_again() -> None:
    """The function may have deployed: it is invoked once, and the same order again has the same id."""
    asked = 0

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            nonlocal asked
            asked += 1
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    environ = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}"}
    try:
        from ciml.adapters.deployers.lambda_ import deployer as made_for
        from ciml.adapters.deployers.process import Commands

        made = made_for(Commands(".", {}, log="/nowhere/log"), environ)
        with pytest.raises(ServiceError):
            made.deploy(ORDER, "/nowhere")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert asked == 1


def test_no_region() -> None:
    """Exit 3 with what to look at."""
    made = LambdaDeployer(lambda: aws.client("lambda", {"AWS_CONFIG_FILE": "/nowhere"}, attempts=1))
    with pytest.raises(ConfigurationError):
        made.deploy(ORDER, "/nowhere")
