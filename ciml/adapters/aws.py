"""AWS as boto3 gives it: clients that are all made in one way, and its failures as ciml's own.

Region, credentials and endpoint come from where every AWS tool takes them (`AWS_REGION`, `AWS_PROFILE`, a
role's web identity, `AWS_ENDPOINT_URL_S3`, …). Nothing of a request but what it was about gets into a message:
an address may carry a signature in its query.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from ciml import __version__
from ciml.core.errors import (
    CimlError,
    ConfigurationError,
    MissingCredentialsError,
    MissingExtraError,
    ServiceError,
    TrustError,
)
from ciml.core.url import without_secrets

OWNER_VARIABLE = "CIML_S3_OWNER"
"""The environment variable with the number of the account that buckets must belong to."""

_OWNER = re.compile(r"\d{12}")
_ATTEMPTS = 5
_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
)
"""Of the environment; what is not among them comes from AWS's own files and services."""
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
_UNKNOWN = frozenset({"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"})
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
_REGIONS = frozenset({"PermanentRedirect", "IllegalLocationConstraintException", "AuthorizationHeaderMalformed", "301"})
_BUSY = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})

_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
_NOT_ALLOWED = re.compile(r"not authorized to perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>arn:\S+))?")

_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError")


def client(
    service: str,
    environ: Mapping[str, str],
    *,
    connections: int = 10,
    attempts: int | None = None,
    read_timeout_s: float = 60,
) -> Any:
    """A client of an AWS service; threads may share it.

    Args:
        service: as boto3 calls it.
        environ: ciml's own environment.
        connections: how many threads will use it.
        attempts: tries in all, with back-off between them; 1 for what must not be asked twice. Where None,
            `AWS_MAX_ATTEMPTS` of the environment, or 5.
        read_timeout_s: how long the other side may be silent.

    Raises:
        ConfigurationError: boto3 is not installed, or what the environment says makes no client.
    """
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingExtraError("talking to AWS needs boto3, which is not installed", extra="aws") from error
    config = Config(
        connect_timeout=10,
        read_timeout=read_timeout_s,
        retries={"total_max_attempts": attempts or _attempts(environ), "mode": "standard"},
        max_pool_connections=connections,
        tcp_keepalive=True,
        # One text for all requests: boto3 composes its own anew for each, a tenth of what a small one costs.
        user_agent=f"ciml/{__version__}",
        # The digests are ours: a second checksum of every byte would cost time and prove less.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        # Every body has a checksum in a header, and that header is signed: signing the body, too, proves no more.
        s3={"payload_signing_enabled": False},
    )
    try:
        session = _session(*(environ.get(name) or None for name in _VARIABLES))
        return session.client(service, config=config, endpoint_url=endpoint(service, environ))
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(
            f"AWS cannot be asked: {without_secrets(str(error))}",
            hint="Look at AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL.",
        ) from error


def _attempts(environ: Mapping[str, str]) -> int:
    text = environ.get("AWS_MAX_ATTEMPTS", "")
    return max(1, int(text)) if text.isdecimal() else _ATTEMPTS


@lru_cache(maxsize=4)
def _session(
    key: str | None, secret: str | None, token: str | None, profile: str | None, region: str | None, default: str | None
) -> Any:
    """Made once for the same credentials: reading AWS's own descriptions takes longer than many a request."""
    import boto3

    # Where somebody logs everything, these would print every request with its signature and the role's token.
    for noisy in ("botocore", "boto3", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    return boto3.session.Session(
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        profile_name=profile,
        region_name=region or default,
    )


def endpoint(service: str, environ: Mapping[str, str]) -> str | None:
    """The address of a service that is not AWS's own; None where it is."""
    return environ.get(f"AWS_ENDPOINT_URL_{service.upper()}") or environ.get("AWS_ENDPOINT_URL") or None


def expected_owner(environ: Mapping[str, str]) -> str | None:
    """The account that buckets must belong to; None where nobody says.

    Raises:
        ConfigurationError: it is no account number.
    """
    owner = environ.get(OWNER_VARIABLE) or None
    if owner is not None and not _OWNER.fullmatch(owner):
        raise ConfigurationError(f"{OWNER_VARIABLE} is {owner!r}, not the 12 digits of an AWS account")
    return owner


@contextmanager
def asking(doing: str, *, action: str, resource: str, owner: str | None = None) -> Iterator[None]:
    """Inside, what boto3 raises becomes ciml's own.

    Args:
        doing: "write s3://bucket/key".
        action: of IAM, such as `s3:PutObject`.
        resource: its ARN.
        owner: the account that was asked for, where one was.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

    try:
        yield
    except ClientError as error:
        raise _answered(error, doing, action, resource, owner) from error
    except (BotoCoreError, HTTPClientError, Boto3Error) as error:
        raise _unanswered(error, doing) from error


def code_of(error: Exception) -> str:
    """The service's own code for a failure, such as `NoSuchKey`, or the HTTP status where there is none."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """The HTTP status of a failure; 0 where there was no answer."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answered(error: Exception, doing: str, action: str, resource: str, owner: str | None) -> CimlError:
    code, status = code_of(error), status_of(error)
    told = f"cannot {doing}: {code or status}"
    if code == "NoSuchBucket":
        return ConfigurationError(f"{told}: there is no such bucket", hint="Make it, or correct the address.")
    if code in _REGIONS or status == 301:
        return ServiceError(f"{told}: the bucket is in another region", hint="Set AWS_REGION to the bucket's.")
    if code in _EXPIRED:
        return TrustError(f"{told}: the credentials have expired", hint="Log in again, or renew the role's session.")
    if code in _UNKNOWN or code == "SignatureDoesNotMatch":
        return TrustError(f"{told}: the credentials are not known there", hint="Look at AWS_PROFILE, or at the keys.")
    if code in _SKEWED:
        return ServiceError(f"{told}: this machine's clock is wrong", hint="Set the clock, and run it again.")
    if code == "InvalidObjectState":
        return ServiceError(
            f"{told}: the object is in an archive, such as Glacier",
            hint="Restore it (`aws s3api restore-object`), wait until that is done, and run it again.",
        )
    if status in (401, 403) or code in _DENIED:
        # A request may need more than its own action, such as iam:PassRole: the answer says which it was.
        lacking = _NOT_ALLOWED.search(_detail(error))
        named = (lacking["action"], lacking["resource"] or resource) if lacking else (action, resource)
        return TrustError(told, hint=_permission(*named, owner))
    if code in _BUSY or status in (429, 503):
        return ServiceError(f"{told}: too many requests", hint="Run the same command again, later.")
    hint = "Run the same command again; what was done so far is kept." if status >= 500 or not status else None
    if code == "400":
        # The answer to a HEAD has no body that would say why.
        hint = "Credentials that have expired, or another region than the bucket's, are the usual reasons."
    return ServiceError(f"{told}: {_detail(error)}".rstrip(": "), hint=hint)


def _permission(action: str, resource: str, owner: str | None) -> str:
    """What would have to be allowed; a bucket of another account answers just the same."""
    allow = f"Allow {action} on {resource} to the role or user whose credentials these are"
    return f"{allow}; {OWNER_VARIABLE} also says that the bucket belongs to {owner}." if owner else f"{allow}."


def _unanswered(error: Exception, doing: str) -> CimlError:
    kind = type(error).__name__
    told = f"cannot {doing}: {_detail(error)}"
    if kind in _CREDENTIALS:
        return MissingCredentialsError(
            told, hint="Give credentials as the AWS tools take them: AWS_PROFILE, a role, or AWS_ACCESS_KEY_ID."
        )
    if kind in (
        "NoRegionError",
        "InvalidRegionError",
        "ParamValidationError",
        "ProfileNotFound",
        "UnknownEndpointError",
    ):
        return ConfigurationError(told, hint="Look at AWS_REGION and AWS_PROFILE.")
    return ServiceError(told, hint="Look at the network and AWS_ENDPOINT_URL, and run the same command again.")


def _detail(error: Exception) -> str:
    """What the failure says of itself, without the query of any address."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    text = str(response.get("Error", {}).get("Message", "")) or str(error)
    return without_secrets(" ".join(text.split()))[:300]
