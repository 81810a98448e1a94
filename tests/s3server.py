"""S3 for tests: moto's server, rclone's, and a proxy in front of one that misbehaves as it is told."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ciml.adapters import aws
from tests.mlflowserver import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example-secret", "AWS_REGION": "us-east-1"}


class Service:
    """A running S3 service.

    Args:
        endpoint: its address.
        keys: environment variables with credentials.
    """

    def __init__(self, endpoint: str, keys: Mapping[str, str] | None = None) -> None:
        self.endpoint = endpoint
        self.environ = {**(keys or KEYS), "AWS_ENDPOINT_URL": endpoint}

    def at(self, endpoint: str) -> Service:
        """The same by way of another address."""
        return Service(endpoint, {name: value for name, value in self.environ.items() if name != "AWS_ENDPOINT_URL"})

    @property
    def impatient(self) -> Service:
        """The same for who gives up after a second try."""
        return Service(self.endpoint, {**self.environ, "AWS_MAX_ATTEMPTS": "2"})

    def client(self, service: str = "s3") -> Any:
        return aws.client(service, self.environ, attempts=2)

    def bucket(self) -> str:
        """A new bucket."""
        name = f"ciml-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=name)
        return name

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of a bucket, sorted."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def empty(self, bucket: str, prefix: str = "") -> None:
        """Delete the keys of a bucket."""
        names = self.names(bucket, prefix)
        for start in range(0, len(names), 1000):
            objects = [{"Key": name} for name in names[start : start + 1000]]
            self.client().delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})


class Bucket:
    """A new bucket, for tests of data that comes from S3."""

    def __init__(self, service: Service, *, versions: bool = True) -> None:
        self.name = service.bucket()
        self.client: Any = service.client()
        if versions:
            self.client.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Enabled"})

    def put(self, key: str, text: str, *, checksum: bool = True) -> None:
        extra = {"ChecksumAlgorithm": "SHA256"} if checksum else {}
        self.client.put_object(Bucket=self.name, Key=key, Body=text.encode(), **extra)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def forget(self, key: str) -> None:
        """Remove every version."""
        for item in self.client.list_object_versions(Bucket=self.name, Prefix=key).get("Versions", ()):
            self.client.delete_object(Bucket=self.name, Key=item["Key"], VersionId=item["VersionId"])


@contextmanager
def moto(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Service]:
    """moto's server, whose log is in `folder`."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _process(command, folder / f"moto-{port}.log", f"http://127.0.0.1:{port}/moto-api/", environ):
        yield Service(f"http://127.0.0.1:{port}")


@contextmanager
def rclone(folder: Path) -> Iterator[Service]:
    """rclone's server, which checks signatures and ignores conditions; its buckets are folders in `folder`."""
    port = free_port()
    (folder / "buckets").mkdir()
    command = [os.path.join(os.path.dirname(sys.executable), "rclone"), "serve", "s3"]
    command += ["--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "writes", "--cache-dir", str(folder / "cache")]
    command += ["--config", str(folder / "rclone.conf")]
    command += ["--auth-key", f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}", str(folder / "buckets")]
    with _process(command, folder / "rclone.log", f"http://127.0.0.1:{port}/"):
        yield Service(f"http://127.0.0.1:{port}")


@contextmanager
def _process(command: list[str], log: Path, ready: str, environ: Mapping[str, str] | None = None) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, env={**os.environ, **(environ or {})}
        )
    try:
        _wait_for(ready, process, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the server did not start: {log.read_text()[-2000:]}")
