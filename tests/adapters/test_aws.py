"""Failures of AWS as ciml's own."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from ciml.adapters.aws import asking
from ciml.core.errors import CimlError, ExitCode, ServiceError


@pytest.mark.parametrize(
    "error",
    [
        ClientError(
            {"Error": {"Code": "400", "Message": "GET https://b.s3.amazonaws.com/k?X-Amz-Signature=CANARY expired"}},
            "GetObject",
        ),
        HTTPClientError(error="Max retries exceeded with url: /b/k?X-Amz-Credential=x&X-Amz-Signature=CANARY (x)"),
        HTTPClientError(error="http://me:CANARY@proxy.example:3128/?token=CANARY"),
    ],
)
def test_c103_answers_that_repeat_what_was_signed(error: Exception) -> None:
    """What a service or a proxy repeats of a presigned address is not told on."""
    with pytest.raises(ServiceError) as caught, asking("read s3://b/k", action="s3:GetObject", resource="arn"):
        raise error
    assert "CANARY" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.message.startswith("cannot read s3://b/k: ")


def answered(code: str, status: int) -> CimlError:
    response: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(CimlError) as caught, asking("read s3://b/k", action="s3:GetObject", resource="arn"):
        raise ClientError(response, "GetObject")
    return caught.value


@pytest.mark.parametrize(
    ("code", "status", "exit_code", "words"),
    [
        ("RequestTimeTooSkewed", 403, ExitCode.SERVICE, "this machine's clock is wrong"),
        ("InvalidObjectState", 403, ExitCode.SERVICE, "the object is in an archive"),
        ("400", 400, ExitCode.SERVICE, "Credentials that have expired, or another region"),
        ("ExpiredToken", 400, ExitCode.TRUST, "the credentials have expired"),
        ("PermanentRedirect", 301, ExitCode.SERVICE, "the bucket is in another region"),
        ("AccessDenied", 403, ExitCode.TRUST, "Allow s3:GetObject on arn"),
    ],
)
def test_what_a_refusal_is_about(code: str, status: int, exit_code: ExitCode, words: str) -> None:
    """A wrong clock, an archive, expired credentials and another region are not called a lack of permissions."""
    error = answered(code, status)
    assert error.code is exit_code
    assert words in f"{error.message} {error.hint}"
    assert ("Allow" in (error.hint or "")) == (code == "AccessDenied")
