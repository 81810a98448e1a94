"""moto's server, and in front of it what moto lacks: endpoint updates that take a while, functions that fail, buckets
that say whether they tell EventBridge.

Every call that this front answers itself is held against botocore's own description of the service.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from moto.server import ThreadedMotoServer

from ciml.adapters import aws

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example-secret", "AWS_REGION": "us-east-1"}

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class Aws:
    """A running AWS, and what tests want to happen in it."""

    def __init__(self, address: str) -> None:
        self.environ = {**KEYS, "AWS_ENDPOINT_URL": address}
        self.updates: list[dict[str, Any]] = []
        """Every UpdateEndpoint that was accepted."""
        self.endpoints: dict[str, dict[str, Any]] = {}
        """Endpoint -> what this front says of it in the place of moto."""
        self.updating = 0
        """How many looks at an endpoint find it still updating, after an update."""
        self.alarm = False
        """An alarm rolls every update back."""
        self.orders: list[dict[str, Any]] = []
        """What functions were invoked with."""
        self.answer: Reply = (200, {}, b'"done"')
        """What a function answers."""
        self.telling: set[str] = set()
        """Paths of the buckets that tell EventBridge, which moto does and does not say."""
        self.denied: dict[str, str] = {}
        """Operation -> what the credentials in force are said to lack."""

    def client(self, service: str) -> Any:
        return aws.client(service, self.environ, attempts=1)

    def forget(self) -> None:
        """Begin with an empty account: moto's is one for the whole process."""
        with urllib.request.urlopen(f"{self.environ['AWS_ENDPOINT_URL']}/moto-api/reset", data=b"", timeout=30):
            pass

    # SageMaker.

    def update_endpoint(self, wanted: dict[str, Any], now: dict[str, Any]) -> None:
        self.updates.append(wanted)
        name, config = wanted["EndpointName"], wanted["EndpointConfigName"]
        told = {"EndpointConfigName": config, "LastDeploymentConfig": wanted.get("DeploymentConfig")}
        if self.alarm:
            told = {"EndpointConfigName": now["EndpointConfigName"], "FailureReason": "alarm m-5xx went off"}
        self.endpoints[name] = {**self.endpoints.get(name, {}), **told, "looks": self.updating}

    def seen(self, endpoint: dict[str, Any]) -> dict[str, Any]:
        told = self.endpoints.get(endpoint["EndpointName"])
        if told is None:
            return endpoint
        told["looks"] -= 1
        under_way = "RollingBack" if "FailureReason" in told else "Updating"
        status = under_way if told["looks"] >= 0 else "InService"
        kept = {name: value for name, value in told.items() if name != "looks" and value is not None}
        return {**endpoint, **kept, "EndpointStatus": told.get("EndpointStatus", status)}


def validate(service: str, operation: str, params: dict[str, Any]) -> None:
    """AssertionError, unless a request is one that AWS's own description allows."""
    shape = botocore.session.get_session().get_service_model(service).operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate(params, shape)
    assert not report.has_errors(), report.generate_report()


class _Front(ThreadingHTTPServer):
    """Answers in the place of moto, or passes on."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._moto = host, port
        self.aws = Aws(f"http://127.0.0.1:{self.server_address[1]}")

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        upstream = http.client.HTTPConnection(*self._moto, timeout=30)
        upstream.request(method, path, body, {**headers, "Connection": "close"})
        answer = upstream.getresponse()
        found = answer.status, dict(answer.getheaders()), answer.read()
        upstream.close()
        return found

    def look(self, endpoint: str, headers: dict[str, str]) -> Reply:
        """DescribeEndpoint."""
        asked = {**headers, "X-Amz-Target": "SageMaker.DescribeEndpoint"}
        status, found, data = self.ask("POST", "/", json.dumps({"EndpointName": endpoint}).encode(), asked)
        return status, found, json.dumps(self.aws.seen(json.loads(data))).encode() if status == 200 else data

    def update(self, wanted: dict[str, Any], headers: dict[str, str]) -> Reply:
        """UpdateEndpoint."""
        validate("sagemaker", "UpdateEndpoint", wanted)
        asked = {**headers, "X-Amz-Target": "SageMaker.DescribeEndpointConfig"}
        body = json.dumps({"EndpointConfigName": wanted["EndpointConfigName"]}).encode()
        for reply in (self.ask("POST", "/", body, asked), now := self.look(wanted["EndpointName"], headers)):
            if reply[0] != 200:
                return reply
        endpoint = json.loads(now[2])
        self.aws.update_endpoint(wanted, endpoint)
        return 200, {}, json.dumps({"EndpointArn": endpoint["EndpointArn"]}).encode()

    def notify(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Get or PutBucketNotificationConfiguration."""
        status, found, data = self.ask(method, path, body, headers)
        bucket = path.partition("?")[0]
        if method == "PUT" and status == 200:
            keep = self.aws.telling.add if b"EventBridgeConfiguration" in body else self.aws.telling.discard
            keep(bucket)
        elif bucket in self.aws.telling:
            inside = data.replace(b"/>", b"></NotificationConfiguration>", 1) if data.endswith(b"/>") else data
            data = inside.replace(b"</NotificationC", b"<EventBridgeConfiguration/></NotificationC")
        return status, found, data

    def deny(self, action: str) -> Reply:
        """As EventBridge refuses: 400, not 403."""
        text = f"User: arn:aws:iam::123456789012:user/ada is not authorized to perform: {action}"
        told = {"__type": "AccessDeniedException", "Message": f"{text} because no identity-based policy allows it"}
        return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(told).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Front

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = (self.headers.get("X-Amz-Target") or "").partition(".")[2]
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        if operation == "UpdateEndpoint":
            reply = self.server.update(json.loads(body), headers)
        elif operation == "DescribeEndpoint":
            reply = self.server.look(json.loads(body)["EndpointName"], headers)
        elif operation in self.server.aws.denied:
            reply = self.server.deny(self.server.aws.denied[operation])
        elif "?notification" in self.path:
            reply = self.server.notify(self.command, self.path, body, headers)
        elif self.path.endswith("/invocations"):
            self.server.aws.orders.append(json.loads(body))
            reply = self.server.aws.answer
        else:
            reply = self.server.ask(self.command, self.path, body, headers)
        self._send(*reply)

    def _send(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class names it so
        del format, args

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _relay  # noqa: N815 -- the base class looks for these


@contextmanager
def aws_server() -> Iterator[Aws]:
    """AWS, until the end of the block."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    front = _Front(*moto.get_host_and_port())
    thread = threading.Thread(target=front.serve_forever, daemon=True)
    thread.start()
    try:
        yield front.aws
    finally:
        front.shutdown()
        front.server_close()
        thread.join()
        moto.stop()
