"""The addresses of the HTTP API and their handlers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPMethod, HTTPStatus
from typing import cast

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from faceloupe import __version__
from faceloupe.media.evidence_file import EvidenceFile, printable_name
from faceloupe.models.listing import ListedModel
from faceloupe.report.build import ReportedAnalysis
from faceloupe.report.write import pictures_of
from faceloupe.samples import SAMPLES
from faceloupe.server import problems
from faceloupe.server.access import Access
from faceloupe.server.keys import Scope
from faceloupe.server.openapi import JSON, REPORT, Answer, Operation, document
from faceloupe.server.schema import (
    AnalyzeQuery,
    CheckedBundle,
    Health,
    JobInfo,
    NoQuery,
    PictureList,
    Queue,
    report_text,
)
from faceloupe.server.service import Service
from faceloupe.server.uploads import Upload, receive
from faceloupe.web.jobs import Job, State

_LOOK_S = 0.2  # between two reads of a job's progress, seconds
_SAMPLES = {"fake": SAMPLES[0], "real": SAMPLES[1]}
_EVENTS = "text/event-stream"
_NO_JOB = "There is no such job of yours: it was never queued, or has been forgotten since."
_NO_REPORT = "There is no report on such a file of yours in memory; upload the file to /v1/analyze."
_STOPPING = "The work was cancelled, as the server stops."
_GUARDS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

OK, ACCEPTED, NO_CONTENT, NOT_FOUND = HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND


class Api:
    """The handlers; each takes the request, its checked query and the id of the client."""

    def __init__(self, service: Service, access: Access) -> None:
        """Take ownership of the service, which is closed with the server.

        Args:
            service: does the work.
            access: checks every request.
        """
        self._service, self._access = service, access
        self.operations = (
            Operation(
                "POST",
                "/v1/analyze",
                self.analyze,
                "Analyze an image at once, or queue a video as a job.",
                Scope.ANALYZE,
                {OK: Answer(REPORT), ACCEPTED: Answer(JobInfo)},
                query=AnalyzeQuery,
                upload="An image or a video.",
            ),
            Operation(
                "GET",
                "/v1/jobs/{id}",
                self.job,
                "State of a job, and its report once it is done.",
                Scope.READ,
                {OK: Answer(JobInfo)},
                refusals=[NOT_FOUND],
            ),
            Operation(
                "DELETE",
                "/v1/jobs/{id}",
                self.cancel_job,
                "Cancel a job.",
                Scope.ANALYZE,
                {NO_CONTENT: Answer(None)},
                refusals=[NOT_FOUND],
            ),
            Operation(
                "GET",
                "/v1/jobs/{id}/events",
                self.job_events,
                "Progress of a job as server-sent events named `progress`, the last of them named `end`.",
                Scope.READ,
                {OK: Answer(_EVENTS)},
                refusals=[NOT_FOUND],
            ),
            Operation(
                "GET",
                "/v1/reports/{sha256}",
                self.report,
                "The last report on a file that was uploaded, as long as it is in memory.",
                Scope.READ,
                {OK: Answer(REPORT)},
                refusals=[NOT_FOUND],
            ),
            Operation(
                "GET",
                "/v1/reports/{sha256}/pictures",
                self.picture_list,
                "Names of its pictures; heatmaps are among them if it was analyzed with `explain`.",
                Scope.READ,
                {OK: Answer(PictureList)},
                refusals=[NOT_FOUND],
            ),
            Operation(
                "GET",
                "/v1/reports/{sha256}/pictures/{name}",
                self.picture,
                "One of its pictures.",
                Scope.READ,
                {OK: Answer("image/png")},
                refusals=[NOT_FOUND],
            ),
            Operation(
                "POST",
                "/v1/verify",
                self.verify,
                "Check every hash, the log and the signature of an exported case.",
                Scope.ANALYZE,
                {OK: Answer(CheckedBundle)},
                upload="A bundle, as `faceloupe case export` writes it.",
            ),
            Operation(
                "GET",
                "/v1/models",
                self.models,
                "The models, and whether their weights are the verified ones.",
                Scope.READ,
                {OK: Answer(ListedModel, many=True)},
            ),
            Operation(
                "GET",
                "/v1/samples/{kind}",
                self.sample,
                "A bundled picture: `real` or `fake`.",
                Scope.READ,
                {OK: Answer("image/*")},
                refusals=[NOT_FOUND],
            ),
            Operation("GET", "/v1/health", self.health, "That the server runs.", None, {OK: Answer(Health)}),
            Operation("GET", "/v1/openapi.json", self.openapi, "This description.", None, {OK: Answer(JSON)}),
        )
        self._document = msgspec.json.encode(document(self.operations))

    def application(self) -> Starlette:
        """Return the ASGI application."""

        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            yield
            await run_in_threadpool(self._service.close)

        methods: dict[str, dict[str, Operation]] = {}
        for operation in self.operations:
            methods.setdefault(operation.path, {})[operation.method] = operation
        routes = [
            Route(path, self._endpoint(by_method), methods=list(by_method)) for path, by_method in methods.items()
        ]
        return Starlette(routes=routes, exception_handlers=problems.HANDLERS, lifespan=lifespan)

    def _endpoint(self, operations: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            method = HTTPMethod.GET if request.method == HTTPMethod.HEAD else request.method
            operation = operations[method]
            owner = self._access.check(request, operation.scope)
            answer: Response = await operation.handler(request, _query(request, operation), owner)
            answer.headers.update(_GUARDS)
            return answer

        return endpoint

    async def analyze(self, request: Request, query: AnalyzeQuery, owner: str) -> Response:
        """``POST /v1/analyze``."""
        upload = await self._received(request)
        evidence_file = None
        if query.embedded is not None:
            opening = await run_in_threadpool(self._service.open_embedded, upload, query.embedded, owner)
            evidence_file = cast(EvidenceFile, await _ended(opening, request))
        job = await run_in_threadpool(self._service.submit, upload, query, owner, evidence_file=evidence_file)
        if self._service.job(str(job.key), owner) is job:  # a video
            location = {"Location": f"/v1/jobs/{job.key}"}
            return Response(msgspec.json.encode(_info(job)), ACCEPTED, location, JSON)
        return Response(await _ended(job, request), media_type=JSON)

    async def verify(self, request: Request, _: NoQuery, owner: str) -> Response:
        """``POST /v1/verify``."""
        upload = await self._received(request)
        job = await run_in_threadpool(self._service.check, upload, owner)
        return _json(await _ended(job, request))

    async def job(self, request: Request, _: NoQuery, owner: str) -> Response:
        """``GET /v1/jobs/{id}``."""
        return _json(_info(self._job(request, owner)))

    async def cancel_job(self, request: Request, _: NoQuery, owner: str) -> Response:
        """``DELETE /v1/jobs/{id}``."""
        self._job(request, owner).cancel()
        return Response(status_code=NO_CONTENT)

    async def job_events(self, request: Request, _: NoQuery, owner: str) -> Response:
        """``GET /v1/jobs/{id}/events``."""
        return StreamingResponse(_events(self._job(request, owner)), media_type=_EVENTS)

    async def report(self, request: Request, _: NoQuery, owner: str) -> Response:
        """``GET /v1/reports/{sha256}``."""
        return Response(report_text(self._reported(request, owner).report, raw=False), media_type=JSON)

    async def picture_list(self, request: Request, _: NoQuery, owner: str) -> Response:
        """``GET /v1/reports/{sha256}/pictures``."""
        return _json(PictureList(tuple(await self._pictures(request, owner))))

    async def picture(self, request: Request, _: NoQuery, owner: str) -> Response:
        """``GET /v1/reports/{sha256}/pictures/{name}``."""
        picture = (await self._pictures(request, owner)).get(request.path_params["name"])
        if picture is None:
            raise HTTPException(NOT_FOUND, "The report has no such picture; see its list of pictures.")
        return Response(picture, media_type="image/png")

    async def models(self, _request: Request, _: NoQuery, _owner: str) -> Response:
        """``GET /v1/models``."""
        return _json(await run_in_threadpool(self._service.models))

    async def sample(self, request: Request, _: NoQuery, _owner: str) -> Response:
        """``GET /v1/samples/{kind}``."""
        sample = _SAMPLES.get(request.path_params["kind"])
        if sample is None:
            raise HTTPException(NOT_FOUND, "There are two samples: real and fake.")
        return FileResponse(sample.path, filename=sample.path.name)

    async def health(self, _request: Request, _: NoQuery, _owner: str) -> Response:
        """``GET /v1/health``."""
        record = self._service.networks.scorer.record
        queue = Queue(len(self._service.images.live()), len(self._service.videos.live()))
        return _json(
            Health(
                status="ok",
                version=__version__,
                model=record.id,
                weights_sha256=record.weights_sha256,
                weights="verified",
                queue=queue,
            )
        )

    async def openapi(self, _request: Request, _: NoQuery, _owner: str) -> Response:
        """``GET /v1/openapi.json``."""
        return Response(self._document, media_type=JSON)

    async def _received(self, request: Request) -> Upload:
        limits = self._service.limits
        try:
            return await receive(
                request,
                self._service.folder,
                self._service.pending,
                max_bytes=limits.upload_bytes,
                max_s=limits.upload_s,
            )
        except ClientDisconnect:  # the client does not read the answer
            raise HTTPException(HTTPStatus.BAD_REQUEST, "The upload was broken off.") from None

    def _job(self, request: Request, owner: str) -> Job:
        job = self._service.job(request.path_params["id"], owner)
        if job is None:
            raise HTTPException(NOT_FOUND, _NO_JOB)
        return job

    def _reported(self, request: Request, owner: str) -> ReportedAnalysis:
        reported = self._service.report(request.path_params["sha256"], owner)
        if reported is None:
            raise HTTPException(NOT_FOUND, _NO_REPORT)
        return reported

    async def _pictures(self, request: Request, owner: str) -> dict[str, bytes]:
        return await run_in_threadpool(pictures_of, self._reported(request, owner).analysis)


def _query(request: Request, operation: Operation) -> msgspec.Struct:
    pairs = request.query_params.multi_items()
    values = dict(pairs)
    if len(values) < len(pairs):
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "A parameter of the query is given twice.")
    try:
        return msgspec.convert(values, operation.query, strict=False)
    except msgspec.ValidationError as problem:
        detail = f"The query cannot be used: {printable_name(str(problem))}."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type=JSON)


def _info(job: Job, *, with_result: bool = True) -> JobInfo:
    state = job.state  # read first: the fields that belong to a state are set before it
    result = msgspec.Raw(job.result) if with_result and state is State.DONE and isinstance(job.result, bytes) else None
    return JobInfo(
        id=str(job.key),
        state=state.value,
        stage=printable_name(job.stage),
        share=1.0 if state is State.DONE else min(max(job.share, 0.0), 1.0),
        seconds_left=job.seconds_left,
        result=result,
        error=job.error or None,
    )


async def _events(job: Job) -> AsyncIterator[bytes]:
    last = None
    while True:
        live, info = job.live, _info(job, with_result=False)
        if info != last or not live:
            name = "progress" if live else "end"
            yield f"event: {name}\ndata: {msgspec.json.encode(info).decode()}\n\n".encode()
        if not live:
            return
        last = info
        await asyncio.sleep(_LOOK_S)


async def _ended(job: Job, request: Request) -> object:
    """Wait for a job and return its result; if the client disconnects, the job is cancelled.

    Raises:
        FaceLoupeError: the job failed.
        HTTPException: the job was cancelled, or failed with an unexpected error.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed with the server
            loop.call_soon_threadsafe(ended.set)

    async def hang_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        job.cancel()

    job.on_end(wake)
    watcher = asyncio.create_task(hang_up())
    try:
        await ended.wait()
    finally:
        watcher.cancel()
        job.cancel()  # no effect unless the request was aborted
    if job.state is State.DONE:
        return job.result
    if job.state is State.CANCELLED:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, _STOPPING)
    if job.failure is not None:
        raise job.failure
    raise HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, job.error)
