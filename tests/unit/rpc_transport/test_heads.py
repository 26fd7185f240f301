import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rpc.http2.heads import read_request_head, read_response_head
from engine.rpc.http2.metadata import (
    decode_metadata,
    decode_status_message,
    encode_metadata,
    encode_status_message,
    format_timeout,
    parse_timeout,
)

REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/trellis.v1.FeatureService/GetFeatures"),
    (b":authority", b"localhost"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]


@given(st.text())
def test_a_status_message_survives_the_wire(message: str) -> None:
    encoded = encode_status_message(message)
    assert all(0x20 <= octet <= 0x7E for octet in encoded)
    expected = message.encode("utf-8", "backslashreplace").decode()
    assert decode_status_message(encoded) == expected


@given(st.floats(1e-9, 9e7))
def test_a_timeout_survives_the_wire_within_its_unit(timeout_s: float) -> None:
    parsed = parse_timeout(format_timeout(timeout_s))
    assert parsed == pytest.approx(timeout_s, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("value", [b"", b"S", b"1", b"123456789S", b"-1S", b"1x", b" 1S"])
def test_a_malformed_timeout_is_told_apart(value: bytes) -> None:
    assert parse_timeout(value) is None
    assert read_request_head([*REQUEST, (b"grpc-timeout", value)]).timeout_fault


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("x-blob-bin"), st.binary()),
            st.tuples(st.just("x-text"), st.from_regex(r"\A[!-~]([ -~]*[!-~])?\Z")),
        )
    )
)
def test_metadata_survives_the_wire(metadata: list[tuple[str, str | bytes]]) -> None:
    assert list(decode_metadata(encode_metadata(metadata))) == metadata


@pytest.mark.parametrize(
    "pair", [("Upper", "x"), ("grpc-status", "0"), ("x", b"bytes"), ("x-bin", "text"), ("x", "ä")]
)
def test_metadata_that_cannot_be_sent_is_an_error(pair: tuple[str, str | bytes]) -> None:
    with pytest.raises(ValueError, match="metadata"):
        encode_metadata([pair])


def test_a_request_is_read() -> None:
    head = read_request_head([*REQUEST, (b"grpc-timeout", b"100m"), (b"x-id", b"7")])
    assert head.opening_fault is None
    assert head.refusal is None
    assert head.path == "/trellis.v1.FeatureService/GetFeatures"
    assert head.timeout_s == pytest.approx(0.1)
    assert head.metadata == (("x-id", "7"),)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([*REQUEST, (b"X-Upper", b"1")], id="8.2.1 uppercase name"),
        pytest.param([*REQUEST, (b"x", b"a\r\nb")], id="8.2.1 line break in a value"),
        pytest.param([*REQUEST, (b"connection", b"close")], id="8.2.2 connection-specific"),
        pytest.param([*REQUEST, (b"te", b"gzip")], id="8.2.2 te"),
        pytest.param([*REQUEST, (b":path", b"/again")], id="8.3 pseudo-header after a field"),
        pytest.param([REQUEST[0], *REQUEST], id="8.3 pseudo-header twice"),
        pytest.param([(b":status", b"200"), *REQUEST], id="8.3 response's pseudo-header"),
        pytest.param([(b":unknown", b"x"), *REQUEST], id="8.3 unknown pseudo-header"),
        pytest.param(REQUEST[1:], id="8.3.1 no method"),
        pytest.param([REQUEST[0], *REQUEST[2:]], id="8.3.1 no scheme"),
        pytest.param([*REQUEST[:2], *REQUEST[3:]], id="8.3.1 no path"),
        pytest.param([*REQUEST[:2], (b":path", b""), *REQUEST[3:]], id="8.3.1 empty path"),
        pytest.param([*REQUEST, (b"content-length", b"x")], id="8.1.1 content-length"),
    ],
)
def test_a_malformed_request_is_told_apart(fields: list[tuple[bytes, bytes]]) -> None:
    assert read_request_head(fields).opening_fault is not None


def test_http_that_is_no_grpc_gets_an_http_status() -> None:
    assert read_request_head([(b":method", b"GET"), *REQUEST[1:]]).refusal == b"405"
    assert read_request_head([*REQUEST[:-1], (b"content-type", b"text/html")]).refusal == b"415"


def test_trailers_with_pseudo_headers_are_a_fault() -> None:
    assert read_request_head(REQUEST).trailing_fault is not None
    assert read_request_head([(b"x-checksum", b"1")]).trailing_fault is None


def test_a_trailers_only_response_is_read() -> None:
    head = read_response_head(
        [(b":status", b"200"), (b"grpc-status", b"5"), (b"grpc-message", b"no%20such")]
    )
    assert (head.opening_fault, head.grpc_status, head.grpc_message) == (None, 5, "no such")
