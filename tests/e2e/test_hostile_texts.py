"""Texts made to break out of SQL, paths, logs and pages, in every text field of the public API."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor

from proto.trellis.v1 import (
    dead_letters_pb2,
    features_pb2,
    history_pb2,
    ingest_pb2,
    jobs_pb2,
    models_pb2,
    monitor_pb2,
    workers_pb2,
)
from tests.support.engine_process import EngineProcess

TEXTS = (
    "'; DROP TABLE events; --",
    '" OR ""="',
    "x' UNION SELECT content FROM uploads --",
    "../../../../etc/passwd",
    "/etc/passwd",
    "..\\..\\CON",
    "a\0b",
    "\r\nready {}\r\n",
    "\x1b[2J\u202e\u2028",
    "{0}{}%s$1?",
    '$."x".\'',
    "<script>alert(1)</script>",
    "\U0001f4a9" * 300,
    "A" * 100_000,
)
PORTS = {
    dead_letters_pb2: "service_a",
    ingest_pb2: "service_a",
    features_pb2: "service_b",
    models_pb2: "service_b",
    history_pb2: "service_a",
    jobs_pb2: "service_d",
    monitor_pb2: "service_d",
    workers_pb2: "service_d",
}
METHODS = [
    (port, method)
    for module, port in PORTS.items()
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
BAD_CODES = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.UNKNOWN,
}
PATHS = (
    "/api/jobs?state={}", "/api/jobs?before={}", "/api/jobs/{}", "/api/drift?model={}",
    "/api/drift/{}?feature={}", "/api/entity?key={}", "/api/entity?key=1&model={}", "/console/{}",
    "/{}",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    folder = tmp_path_factory.mktemp("texts")
    with EngineProcess(folder / "data", settings=("log.format=json",)) as running:
        before = names_below(folder)
        yield running
        # No text became the name of a file, nor did one break the data or a line of the log.
        assert not [name for name in names_below(folder) - before if is_named_by_a_text(name)]
        assert health(running) == 200
        for line in running.log_path.read_text().splitlines():
            json.loads(line)
        assert "call failed" not in running.log_path.read_text()
        assert running.stop() == 0


def names_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


def is_named_by_a_text(name: str) -> bool:
    return "passwd" in name or "CON" in name or "<script>" in name or "DROP" in name


def health(engine: EngineProcess) -> int:
    with urllib.request.urlopen(f"http://{engine.address('metrics')}/readyz", timeout=10) as reply:
        return int(reply.status)


def fill(message: Any, text: str, depth: int = 0) -> Any:
    """Put the text into every text and byte field of a message and of those in it."""
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING:
            value: Any = text
        elif field.type == FieldDescriptor.TYPE_BYTES:
            value = text.encode()
        elif field.type == FieldDescriptor.TYPE_MESSAGE and depth < 3:
            if field.message_type.full_name.startswith("google."):
                continue
            if field.message_type.GetOptions().map_entry:
                continue
            inside = getattr(message, field.name)
            fill(inside.add() if field.is_repeated else inside, text, depth + 1)
            continue
        else:
            continue
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)
    return message


@pytest.mark.parametrize(("port", "method"), METHODS, ids=[m.full_name for _, m in METHODS])
def test_a_call_is_refused_or_answered_and_never_fails(
    engine: EngineProcess, port: str, method: Any
) -> None:
    kind = method.input_type._concrete_class
    with grpc.insecure_channel(engine.address(port)) as channel:
        call = channel.stream_stream(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=kind.SerializeToString,
            response_deserializer=lambda data: data,
        )
        for text in TEXTS:
            code, details = outcome(call(iter([fill(kind(), text)]), timeout=20))
            assert code not in BAD_CODES, (text[:40], details)
            assert "duckdb" not in details.lower()
            # Nor is a caller given back all that was sent.
            assert len(details) < 4_000


def outcome(replies: Any) -> tuple[grpc.StatusCode, str]:
    try:
        for _ in replies:
            pass
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_refused_or_answered_and_never_fails(engine: EngineProcess, path: str) -> None:
    for text in TEXTS:
        quoted = urllib.parse.quote(text[:2_000], safe="")
        url = f"http://{engine.address('metrics')}{path.replace('{}', quoted)}"
        status, kind, body = fetch(url)
        assert status in (200, 400, 404, 409, 431), (status, text[:40])
        assert b"root:" not in body
        # What was sent is never sent back as a page.
        assert "html" not in kind


def fetch(url: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as reply:
            return reply.status, reply.headers["content-type"], reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"] or "", error.read()


NAMES = [text.encode()[:255].decode(errors="ignore") for text in TEXTS]


@pytest.mark.parametrize("name", [*NAMES, ".", "..", "~", "NUL.json", "a/../../b.json", "-rf"])
def test_an_uploads_name_is_data_alone(engine: EngineProcess, name: str) -> None:
    requests = [
        ingest_pb2.UploadFileRequest(
            header=ingest_pb2.UploadHeader(dataset="profiles", filename=name)
        ),
        ingest_pb2.UploadFileRequest(chunk=b'{"user_id": 1, "plan": "free"}\n'),
    ]
    with grpc.insecure_channel(engine.address("service_a")) as channel:
        call = channel.stream_stream(
            "/trellis.v1.IngestService/UploadFile",
            request_serializer=ingest_pb2.UploadFileRequest.SerializeToString,
            response_deserializer=lambda data: data,
        )
        code, details = outcome(call(iter(requests), timeout=20))
    assert code is grpc.StatusCode.OK or (
        code is grpc.StatusCode.INVALID_ARGUMENT and "filename" in details
    )
