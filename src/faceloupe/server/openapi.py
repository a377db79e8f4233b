"""The OpenAPI 3.1 document of the HTTP API, generated from its operations and the types of its answers."""

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, get_type_hints

import msgspec
from msgspec import Struct

from faceloupe import __version__
from faceloupe.report.schema import ImageReport, VideoReport
from faceloupe.server import problems
from faceloupe.server.keys import Scope
from faceloupe.server.problems import Problem
from faceloupe.server.schema import RAW, JobInfo, NoQuery, RawScores
from faceloupe.server.uploads import FIELD

JSON = "application/json"
REPORT = "report"  # an answer that is the report of an image or of a video
# Plain JSON instead of typed structs: the keys of OpenAPI and JSON Schema are paths, statuses and type names.
Json = dict[str, Any]
_BINARY = {"type": "string", "format": "binary"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer.

    Attributes:
        content: a type, ``REPORT``, or a media type; None if the answer has no body.
        many: whether the answer is a list of that type.
    """

    content: type[Struct] | type | str | None
    many: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """An HTTP method of an address.

    Attributes:
        handler: takes the request, its checked query and the id of the client.
        summary: one sentence.
        scope: scope that the key must have; None if no key is needed.
        query: type of the query parameters.
        upload: description of the file in a multipart body; None if the body is empty.
        answers: status -> successful answer.
        refusals: statuses of problems that only this operation has.
    """

    method: str
    path: str
    handler: Any
    summary: str
    scope: Scope | None
    answers: dict[HTTPStatus, Answer]
    query: type[Struct] = NoQuery
    upload: str | None = None
    refusals: Sequence[HTTPStatus] = ()


def document(operations: Iterable[Operation]) -> Json:
    """Return the OpenAPI document of the operations."""
    operations = tuple(operations)
    forms: set[type] = {ImageReport, VideoReport, RawScores, Problem}
    for operation in operations:
        forms |= {answer.content for answer in operation.answers.values() if isinstance(answer.content, type)}
    ordered = sorted(forms, key=lambda form: form.__name__)
    references, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    of_type = dict(zip(ordered, references, strict=True))
    report = {"anyOf": [of_type[ImageReport], of_type[VideoReport]]}
    for name in (ImageReport.__name__, VideoReport.__name__):
        components[name]["properties"][RAW] = of_type[RawScores]
    if JobInfo in of_type:
        components[JobInfo.__name__]["properties"]["result"] = {"anyOf": [*report["anyOf"], {"type": "null"}]}
    for component in components.values():
        if "description" in component:
            component["description"] = inspect.cleandoc(component["description"])

    def content(answer: Answer) -> Json:
        if answer.content is None:
            return {}
        if answer.content == REPORT:
            return {"content": {JSON: {"schema": report}}}
        if isinstance(answer.content, str):
            return {"content": {answer.content: {"schema": _BINARY if answer.content.startswith("image/") else {}}}}
        schema = of_type[answer.content]
        return {"content": {JSON: {"schema": {"type": "array", "items": schema} if answer.many else schema}}}

    paths: dict[str, Json] = {}
    for operation in operations:
        described: Json = {
            "operationId": operation.handler.__name__,
            "summary": operation.summary,
            "parameters": [*_in_path(operation.path), *_in_query(operation.query)],
            "responses": {
                str(int(status)): {"description": status.phrase} | content(answer)
                for status, answer in operation.answers.items()
            },
        }
        refusal = {"content": {problems.MEDIA_TYPE: {"schema": of_type[Problem]}}}
        for status in _refusals(operation):
            described["responses"][str(int(status))] = {"description": status.phrase} | refusal
        if operation.upload is not None:
            form = {
                "type": "object",
                "properties": {FIELD: _BINARY},
                "required": [FIELD],
                "additionalProperties": False,
            }
            body = {"multipart/form-data": {"schema": form}}
            described["requestBody"] = {"required": True, "description": operation.upload, "content": body}
        if operation.scope is not None:
            described["security"] = [{"key": []}, {}]
            described["description"] = f"Scope of the key: {operation.scope}."
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    key = {"type": "http", "scheme": "bearer", "description": "Made by `faceloupe api key create`."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "FaceLoupe", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"key": key}},
    }


def _refusals(operation: Operation) -> list[HTTPStatus]:
    statuses = {
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.MISDIRECTED_REQUEST,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
    if operation.scope is not None:
        statuses |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if operation.upload is not None:
        statuses |= {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_TIMEOUT,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        }
    return sorted(statuses | set(operation.refusals))


def _in_path(path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(query: type[Struct]) -> list[Json]:
    hints = get_type_hints(query)
    return [
        {"name": item.encode_name, "in": "query", "schema": msgspec.json.schema(hints[item.name])}
        for item in msgspec.structs.fields(query)
    ]
