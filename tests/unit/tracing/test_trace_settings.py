"""The standard variables mean what OpenTelemetry says, or are refused by name."""

import pytest

from engine.errors import InvalidArgumentError
from engine.tracing import TraceSettings, read_trace_settings

BASE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


def read(**more: str) -> TraceSettings:
    settings = read_trace_settings({**BASE, **more})
    assert settings is not None
    return settings


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_SERVICE_NAME": "shop", "OTEL_TRACES_SAMPLER": "always_on"},
        {**BASE, "OTEL_SDK_DISABLED": "True"},
        {**BASE, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_traced_unless_a_collector_is_named(environ: dict[str, str]) -> None:
    assert read_trace_settings(environ) is None


def test_a_base_address_gets_the_path_of_traces_and_one_for_traces_is_taken_as_it_is() -> None:
    assert read().endpoint == "http://127.0.0.1:4318/v1/traces"
    own = read(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="https://traces.example/in")
    assert own.endpoint == "https://traces.example/in"


def test_what_is_said_of_traces_counts_before_what_is_said_of_all_signals() -> None:
    settings = read(
        OTEL_EXPORTER_OTLP_HEADERS="x-key=all",
        OTEL_EXPORTER_OTLP_TRACES_HEADERS="X-Key=one%2Ctwo, authorization=Bearer abcd",
        OTEL_EXPORTER_OTLP_TIMEOUT="9",
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT="2.5",
        OTEL_TRACES_SAMPLER="parentbased_traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.25",
        OTEL_RESOURCE_ATTRIBUTES="service.name=other,deployment.environment=shop%20floor",
    )
    assert settings.headers == {"x-key": "one,two", "authorization": "Bearer abcd"}
    assert settings.timeout_s == 2.5
    assert (settings.sampler, settings.sampled_share) == ("parentbased_traceidratio", 0.25)
    assert settings.service_name == "other"
    assert settings.resource == {"deployment.environment": "shop floor"}
    assert read(OTEL_SERVICE_NAME="mine").service_name == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "grpc://127.0.0.1:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "hidden-without-a-name"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_TRACES_EXPORTER", "console"),
    ],
)
def test_what_cannot_be_used_is_named_and_headers_are_not_shown(name: str, value: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{name}: ") as refused:
        read(**{name: value})
    assert "hidden" not in str(refused.value)


def test_secrets_are_known_and_not_shown() -> None:
    settings = read(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="https://me:pass4711@traces.example/in",
        OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer key4711",
    )
    assert {"pass4711", "key4711", "Bearer key4711"} <= set(settings.secrets)
    assert "4711" not in repr(settings)
