"""GitHub's own description of its REST API: what a request may be, what an answer looks like."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

from tests.nodejs import package

HOST = "https://api.github.com"

# GitHub answers `null` for the repository of a fork that is gone, and for an account.
_KNOWN = re.compile(r"(?:head/repo|user): None ")


@cache
def _description() -> dict[str, Any]:
    """The part of the description that is about one repository, and about who one is."""
    whole: dict[str, Any] = json.loads((package("@octokit/openapi") / "generated/api.github.com.json").read_bytes())
    whole["paths"] = {
        path: item
        for path, item in whole["paths"].items()
        if path.startswith("/repos/{owner}/{repo}") or path == "/user"
    }
    return whole


@cache
def _validator() -> OpenAPI:
    return OpenAPI.from_dict(_description(), config=Config(spec_validator_cls=None))  # type: ignore[arg-type]


class Asked:
    """A request, as the validator wants to see it."""

    host_url = HOST

    def __init__(self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> None:
        self.method = method.lower()
        self.path = path
        self.body = body or None
        self.content_type = headers.get("content-type", "")
        self.parameters = RequestParameters(query=ImmutableMultiDict(query), header=Headers(headers))


class Answered:
    """An answer, as the validator wants to see it."""

    content_type = "application/json"

    def __init__(self, status: int, data: bytes) -> None:
        self.status_code = status
        self.data = data
        self.headers = Headers({"Content-Type": self.content_type})


def request_errors(request: Asked, template: str) -> Iterator[str]:
    """What the description has against a request; also members and parameters that it does not know."""
    try:
        _validator().validate_request(request)
    except Exception as error:
        yield f"{type(error).__name__}: {str(error)[:200]} {_causes(error)}"
        return
    operation = _description()["paths"][template][request.method]
    known = {parameter["name"] for parameter in map(_resolved, operation.get("parameters", ()))}
    for name in request.parameters.query:
        if name not in known:
            yield f"unknown parameter {name!r}"
    if request.body:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        yield from _unknown(schema, json.loads(request.body), "body")


def answer_errors(request: Asked, status: int, data: bytes) -> Iterator[str]:
    """What the description has against an answer, apart from what GitHub itself answers all the same."""
    try:
        _validator().validate_response(request, Answered(status, data))
    except Exception as error:
        if not _KNOWN.search(_causes(error)):
            yield f"{type(error).__name__}: {str(error)[:200]} {_causes(error)}"


def _causes(error: BaseException) -> str:
    found = getattr(error.__cause__, "schema_errors", None) or ()
    return "; ".join(f"{'/'.join(map(str, one.absolute_path))}: {_short(one.message)}" for one in found)


def _short(text: str) -> str:
    return text if len(text) <= 300 else f"{text[:150]} … {text[-150:]}"


def _resolved(item: dict[str, Any]) -> dict[str, Any]:
    """An item of the description, also where it is told elsewhere."""
    reference = item.get("$ref")
    if reference is None:
        return item
    found: Any = _description()
    for part in reference.removeprefix("#/").split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return _resolved(found)


def _unknown(schema: dict[str, Any], value: object, where: str) -> Iterator[str]:
    """Members of a body that its schema does not list: they would be ignored, silently."""
    schema = _resolved(schema)
    if isinstance(value, list) and "items" in schema:
        for item in value:
            yield from _unknown(schema["items"], item, where)
    if not isinstance(value, dict) or "properties" not in schema or schema.get("additionalProperties"):
        return
    for name, member in value.items():
        if name not in schema["properties"]:
            yield f"unknown member {where}.{name}"
        else:
            yield from _unknown(schema["properties"][name], member, f"{where}.{name}")


def example(template: str, method: str, status: int) -> Any:
    """GitHub's own example of an answer, to be changed at will."""
    return copy.deepcopy(_example(template, method, status))


@cache
def _example(template: str, method: str, status: int) -> Any:
    content = _resolved(_description()["paths"][template][method]["responses"][str(status)])["content"]
    return _resolved(next(iter(content["application/json"]["examples"].values())))["value"]
