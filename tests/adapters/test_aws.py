"""Failures of AWS as ciml's own."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from ciml.adapters.aws import asking
from ciml.core.errors import ServiceError


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
