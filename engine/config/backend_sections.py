"""The settings of the backends: the event stream, the job queue, the blob store."""

# ruff: noqa: RUF009 - `setting` describes a field, as attrs.field does; it is no shared default.

import datetime
from typing import Annotated

import attrs

from engine.config.kinds import Choice, Instant, Switch, Text
from engine.config.quantities import Duration, Integer, Size
from engine.config.redis_url import RedisUrl
from engine.config.secrets import Secret
from engine.config.setting_fields import (
    DAY_S,
    GIB,
    KIB,
    MIB,
    Password,
    Path_,
    Rows,
    ShortDuration,
    setting,
)

KafkaName = Annotated[
    str, Text("1 to 200 letters, digits, dots, dashes and underscores", r"[A-Za-z0-9._-]{1,200}")
]
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_SERVER = rf"(?:{_LABEL}(?:\.{_LABEL}){{0,31}}|\[[0-9A-Fa-f:.]{{2,45}}\]):[0-9]{{1,5}}"
Servers = Annotated[
    str,
    Text("host:port, several separated by commas", rf"{_SERVER}(?: ?, ?{_SERVER}){{0,63}}"),
]
Username = Annotated[str, Text("1 to 256 printable characters", r"[^\x00-\x1f\x7f]{1,256}")]
Container = Annotated[
    str,
    Text(
        "3 to 63 lower-case letters, digits and single dashes, a letter or digit at both ends",
        r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*",
    ),
]
AccountUrl = Annotated[
    str,
    Text(
        "an http(s) URL without user, query or fragment "
        "(a SAS token belongs into blobs.connection_string)",
        r"https?://[A-Za-z0-9.:\[\]_-]{1,255}(?:/[A-Za-z0-9._~/-]{0,255})?",
    ),
]
SaslMechanism = Annotated[str, Choice(("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"))]
SecurityProtocol = Annotated[str, Choice(("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"))]


@attrs.frozen
class KafkaConfig:
    """The event stream. Without bootstrap_servers an embedded broker is started."""

    bootstrap_servers: Servers | None = setting(None, "Brokers to use instead of the embedded one.")
    topic: KafkaName = setting(
        "trellis.events", "Topic of user events; refused messages go to `<topic>.dlq`."
    )
    group_id: KafkaName | None = setting(
        "trellis",
        "Consumer group of a configured cluster; null takes every partition without a group, which "
        "starts seconds sooner and suits a single engine.",
    )
    partitions: Annotated[int, Integer(1, 1024)] = setting(
        4, "Partitions of the topic when Trellis creates it."
    )
    security_protocol: SecurityProtocol = setting("PLAINTEXT", "How the brokers are spoken to.")
    sasl_mechanism: SaslMechanism = setting("PLAIN", "How a SASL protocol authenticates.")
    sasl_username: Username | None = setting(None, "User of a SASL protocol.")
    sasl_password: Password | None = setting(None, "Password of a SASL protocol.")
    ssl_ca_file: Path_ | None = setting(
        None, "PEM file with the authorities to trust instead of the system's."
    )
    ssl_certificate_file: Path_ | None = setting(None, "PEM file with the client's certificate.")
    ssl_key_file: Path_ | None = setting(None, "PEM file with the client's private key.")
    ssl_key_password: Password | None = setting(None, "Password of the private key.")
    max_message_bytes: Annotated[int, Size(KIB, 64 * MIB)] = setting(
        MIB, "A larger message is refused, with this reason, to the dead letters."
    )
    batch_rows: Rows = setting(20_000, "Most messages validated and written together.")
    max_future_s: Annotated[float, Duration(0, 365 * DAY_S)] = setting(
        300.0, "An event further ahead of the clock than this is refused."
    )
    oldest: Annotated[datetime.datetime, Instant()] = setting(
        datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), "An event before this is refused."
    )
    stuck_after_s: ShortDuration = setting(
        8.0, "The intake counts as stuck when it lags and has not moved for this long."
    )


@attrs.frozen
class RedisConfig:
    """The job queue. Without a URL an embedded server is started."""

    url: Annotated[Secret, RedisUrl()] | None = setting(
        None, "Server to use instead of the embedded one."
    )
    cluster: Annotated[bool, Switch()] = setting(
        False, "Whether the URL is that of a node of a Redis Cluster, whose others it will name."
    )


@attrs.frozen
class BlobsConfig:
    """The artifact store. Without an account it is the folder `paths.blobs`."""

    container: Container = setting("trellis", "Container of the account.")
    account_url: AccountUrl | None = setting(
        None, "Azure account (https) to use with the identity of the machine."
    )
    connection_string: Password | None = setting(
        None, "Azure account to use with the key or SAS token in this string."
    )
    create_container: Annotated[bool, Switch()] = setting(
        True, "Whether to make the container if the account has none of its name."
    )
    timeout_s: ShortDuration = setting(
        30.0,
        "Time for one step of an operation, repetitions included: a request to the account of up "
        "to 4 MiB of content, or an access to the disk.",
    )
    cache_bytes: Annotated[int, Size(MIB, 1024 * GIB)] = setting(
        GIB,
        "Most bytes of fetched artifacts in `paths.model_cache`; past it the least recently "
        "used are removed.",
    )
