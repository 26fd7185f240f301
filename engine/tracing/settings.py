"""What the standard variables of OpenTelemetry say about traces."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from engine.errors import InvalidArgumentError

_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_SERVICE: Final = "trellis"
_TIMEOUT_S: Final = 10.0
SAMPLERS: Final = (
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
    "always_on",
    "always_off",
    "traceidratio",
)
_COMPRESSIONS: Final = ("none", "gzip", "deflate")


@attrs.frozen(kw_only=True)
class TraceSettings:
    """Where spans go, and which. What may hold a secret is not shown."""

    endpoint: str = attrs.field(repr=False)
    """The URL that spans are posted to."""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    service_name: str = _SERVICE
    resource: Mapping[str, str] = attrs.field(factory=dict)
    sampler: str = SAMPLERS[0]
    sampled_share: float = 1.0
    timeout_s: float = _TIMEOUT_S
    """For one request to the collector, its repetitions included."""
    compression: str = "none"
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None

    @property
    def secrets(self) -> list[str]:
        """What must not be shown: values of headers, and a password or parameters in the URL."""
        words = [word for value in self.headers.values() for word in value.split()]
        url = urlsplit(self.endpoint)
        of_url = [value for _, value in parse_qsl(url.query)]
        if url.password:
            of_url.append(url.password)
        return [*self.headers.values(), *words, *of_url]


def read_trace_settings(environ: Mapping[str, str]) -> TraceSettings | None:
    """Return where to send spans; None if they are not wanted, which is so unless it is said where.

    Variables for traces alone count before those for all signals, as OpenTelemetry has it.

    Raises:
      InvalidArgumentError: a variable is not usable; never shows a header.
    """
    own, base = environ.get(_TRACES_ENDPOINT, "").strip(), environ.get(_ENDPOINT, "").strip()
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or not (own or base) or not _is_exporter_otlp(environ):
        return None
    endpoint = own or f"{base.removesuffix('/')}/v1/traces"
    _check_url(_TRACES_ENDPOINT if own else _ENDPOINT, endpoint)
    _check_protocol(environ)
    resource = _read_pairs("OTEL_RESOURCE_ATTRIBUTES", environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name, headers = _find(environ, "HEADERS")
    return TraceSettings(
        endpoint=endpoint,
        headers={key.lower(): value for key, value in _read_pairs(name, headers).items()},
        service_name=environ.get("OTEL_SERVICE_NAME") or resource.pop("service.name", _SERVICE),
        resource=resource,
        sampler=_read_choice("OTEL_TRACES_SAMPLER", environ, SAMPLERS),
        sampled_share=_read_share("OTEL_TRACES_SAMPLER_ARG", environ),
        timeout_s=_read_timeout_s(*_find(environ, "TIMEOUT")),
        compression=_check_choice(*_find(environ, "COMPRESSION"), _COMPRESSIONS),
        certificate=_find_file(environ, "CERTIFICATE"),
        client_key=_find_file(environ, "CLIENT_KEY"),
        client_certificate=_find_file(environ, "CLIENT_CERTIFICATE"),
    )


def _find(environ: Mapping[str, str], what: str) -> tuple[str, str]:
    """Return the variable that counts, and its text."""
    own = f"OTEL_EXPORTER_OTLP_TRACES_{what}"
    if environ.get(own):
        return own, environ[own]
    name = f"OTEL_EXPORTER_OTLP_{what}"
    return name, environ.get(name, "")


def _find_file(environ: Mapping[str, str], what: str) -> str | None:
    """Return the path of a file that can be read; workers, which run elsewhere, need all of it."""
    name, text = _find(environ, what)
    if not text:
        return None
    path = Path(text).absolute()
    try:
        path.open("rb").close()
    except OSError as error:
        raise InvalidArgumentError(name, f"cannot be read: {error.strerror}") from error
    return str(path)


def _is_exporter_otlp(environ: Mapping[str, str]) -> bool:
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp", "none"):
        raise InvalidArgumentError("OTEL_TRACES_EXPORTER", "is otlp or none")
    return exporter != "none"


def _check_url(name: str, endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidArgumentError(name, "is a URL such as http://127.0.0.1:4318")


def _check_protocol(environ: Mapping[str, str]) -> None:
    name, protocol = _find(environ, "PROTOCOL")
    if protocol.strip() not in ("", "http/protobuf"):
        raise InvalidArgumentError(
            name, "only http/protobuf is spoken; its port is 4318 at most collectors"
        )


def _read_pairs(name: str, text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, separator, value = part.partition("=")
        if not separator or not key.strip() or not value.isprintable():
            raise InvalidArgumentError(name, "is a list such as name=value,other=value")
        pairs[unquote(key.strip())] = unquote(value.strip())
    return pairs


def _read_choice(name: str, environ: Mapping[str, str], choices: tuple[str, ...]) -> str:
    return _check_choice(name, environ.get(name, ""), choices)


def _check_choice(name: str, text: str, choices: tuple[str, ...]) -> str:
    choice = text.strip().lower() or choices[0]
    if choice not in choices:
        raise InvalidArgumentError(name, f"is one of {', '.join(choices)}")
    return choice


def _read_share(name: str, environ: Mapping[str, str]) -> float:
    share = _to_float(environ.get(name) or "1")
    if not 0 <= share <= 1:
        raise InvalidArgumentError(name, "is a share within 0 to 1")
    return share


def _read_timeout_s(name: str, text: str) -> float:
    timeout_s = _to_float(text or str(_TIMEOUT_S))
    if not 0 < timeout_s < math.inf:
        raise InvalidArgumentError(name, "is a number of seconds")
    return timeout_s


def _to_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
