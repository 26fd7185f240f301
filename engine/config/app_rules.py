"""What settings must hold together; each alone has been checked by its kind."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.config.findings import Finding
from engine.config.pem import explain_certificates, explain_private_key
from engine.config.secrets import Secret
from engine.config.sections import AppSettings
from engine.config.worker_rules import WORKER_RULES
from engine.loopback import is_loopback


def find_broken_rules(settings: AppSettings) -> Iterator[Finding]:
    """Yield every rule that the effective settings break."""
    for rule in _RULES:
        yield from rule(settings)


def _ports_differ(settings: AppSettings) -> Iterator[Finding]:
    taken: dict[int, str] = {}
    for name in ("service_a", "service_b", "service_d", "control", "metrics"):
        port = getattr(settings.server_ports, name)
        key = f"server_ports.{name}"
        if port and port in taken:
            found = f"{port}, which {taken[port]} has already"
            yield Finding((key, taken[port]), found, "a port of its own, or 0 for any free one")
        taken.setdefault(port, key)


def _reach_needs_protection(settings: AppSettings) -> Iterator[Finding]:
    security = settings.security
    protected = security.tls_certificate is not None or security.auth_token is not None
    if not protected and not is_loopback(settings.server_ports.host):
        yield Finding(
            ("server_ports.host", "security.tls_certificate", "security.auth_token"),
            "an address that is not loopback, without protection",
            "127.0.0.1 or ::1, unless security.tls_certificate or security.auth_token is set",
        )


def _data_folder_is_closed(settings: AppSettings) -> Iterator[Finding]:
    """Refuse a data folder whose files others may replace: it says where to send the token."""
    folder = settings.paths.data
    try:
        mode = folder.stat().st_mode
    except OSError:
        return  # it is made, or what keeps it from being read is told, when it is needed
    if stat.S_ISDIR(mode) and mode & stat.S_IWOTH:
        found = f"{str(folder)!r}, a folder that every user may write to"
        yield Finding(("paths.data",), found, "a folder of its own (chmod o-w)")


def _tls_is_whole(settings: AppSettings) -> Iterator[Finding]:
    keys = ("security.tls_certificate", "security.tls_private_key")
    certificate, private_key = settings.security.tls_certificate, settings.security.tls_private_key
    yield from _both_or_none(keys, certificate, private_key)
    yield from _readable(keys[0], certificate)
    yield from _readable(keys[1], private_key)
    yield from _matching(keys, certificate, private_key)


def _cluster_has_a_url(settings: AppSettings) -> Iterator[Finding]:
    url = settings.redis.url
    if settings.redis.cluster and (url is None or url.reveal().startswith("unix")):
        found = "true without the URL of a node"
        yield Finding(("redis.cluster", "redis.url"), found, "false, or with a redis(s):// URL")


def _kafka_security_fits(settings: AppSettings) -> Iterator[Finding]:
    kafka = settings.kafka
    protocol_key = "kafka.security_protocol"
    if kafka.bootstrap_servers is None and kafka.security_protocol != "PLAINTEXT":
        yield Finding(
            (protocol_key, "kafka.bootstrap_servers"),
            f"{kafka.security_protocol} without bootstrap_servers",
            "PLAINTEXT, since the embedded broker speaks nothing else",
        )
    credentials = {
        "kafka.sasl_username": kafka.sasl_username,
        "kafka.sasl_password": kafka.sasl_password,
    }
    for key, value in credentials.items():
        if kafka.security_protocol.startswith("SASL_") and value is None:
            yield Finding((key, protocol_key), "nothing", f"text, for {kafka.security_protocol}")
        if not kafka.security_protocol.startswith("SASL_") and value is not None:
            allowed = "nothing, or security_protocol SASL_PLAINTEXT or SASL_SSL"
            yield Finding((key, protocol_key), f"text with {kafka.security_protocol}", allowed)
    files = {
        "kafka.ssl_ca_file": kafka.ssl_ca_file,
        "kafka.ssl_certificate_file": kafka.ssl_certificate_file,
        "kafka.ssl_key_file": kafka.ssl_key_file,
    }
    for key, path in files.items():
        if path is not None and not kafka.security_protocol.endswith("SSL"):
            allowed = "nothing, or security_protocol SSL or SASL_SSL"
            yield Finding((key, protocol_key), f"a path with {kafka.security_protocol}", allowed)
        yield from _readable(key, path)
    keys = ("kafka.ssl_certificate_file", "kafka.ssl_key_file")
    yield from _both_or_none(keys, kafka.ssl_certificate_file, kafka.ssl_key_file)
    if kafka.security_protocol.endswith("SSL"):
        yield from _certificates("kafka.ssl_ca_file", kafka.ssl_ca_file)
        yield from _matching(
            keys,
            kafka.ssl_certificate_file,
            kafka.ssl_key_file,
            ("kafka.ssl_key_password", kafka.ssl_key_password),
        )


def _kafka_addresses_exist(settings: AppSettings) -> Iterator[Finding]:
    for server in (settings.kafka.bootstrap_servers or "").split(","):
        port = server.strip().rpartition(":")[2]
        if port and not 1 <= int(port) <= 65_535:
            yield Finding(("kafka.bootstrap_servers",), f"the port {port}", "a port up to 65535")
    if settings.kafka.topic in {".", ".."}:
        yield Finding(("kafka.topic",), f"{settings.kafka.topic!r}", "a name Kafka accepts")


def _batches_fit_the_queue(settings: AppSettings) -> Iterator[Finding]:
    duckdb = settings.duckdb
    for key, rows in (
        ("duckdb.batch_rows", duckdb.batch_rows),
        ("kafka.batch_rows", settings.kafka.batch_rows),
    ):
        if rows > duckdb.queue_rows:
            allowed = f"at most duckdb.queue_rows, which is {duckdb.queue_rows}"
            yield Finding((key, "duckdb.queue_rows"), f"{rows} rows", allowed)
    if settings.kafka.max_message_bytes > duckdb.queue_bytes:
        yield Finding(
            ("kafka.max_message_bytes", "duckdb.queue_bytes"),
            f"{settings.kafka.max_message_bytes} bytes",
            f"at most duckdb.queue_bytes, which is {duckdb.queue_bytes}",
        )


def _one_blob_account(settings: AppSettings) -> Iterator[Finding]:
    blobs = settings.blobs
    if blobs.account_url is not None and blobs.connection_string is not None:
        yield Finding(
            ("blobs.account_url", "blobs.connection_string"),
            "an account beside the one in blobs.connection_string",
            "one of the two",
        )


def _both_or_none(
    keys: tuple[str, str], first: Path | None, second: Path | None
) -> Iterator[Finding]:
    if (first is None) != (second is None):
        missing, present = keys if first is None else (keys[1], keys[0])
        yield Finding((missing, present), "nothing", f"a path, since {present} is set")


def _readable(key: str, path: Path | None) -> Iterator[Finding]:
    if path is not None and not _can_read(path):
        yield Finding((key,), f"{str(path)!r}, which cannot be read", "the path of a readable file")


def _can_read(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


def _certificates(key: str, path: Path | None) -> Iterator[Finding]:
    if path is not None and _can_read(path):
        fault = explain_certificates(path)
        if fault is not None:
            yield Finding((key,), fault, "a PEM file with certificates")


def _matching(
    keys: tuple[str, str],
    certificate: Path | None,
    private_key: Path | None,
    password: tuple[str, Secret | None] | None = None,
) -> Iterator[Finding]:
    """Open a certificate with its key; `password` is the setting that may open the key."""
    if certificate is None or private_key is None:
        return
    if not (_can_read(certificate) and _can_read(private_key)):
        return
    faults = list(_certificates(keys[0], certificate))
    yield from faults
    if faults:
        return
    password_key, secret = password or (None, None)
    fault = explain_private_key(
        certificate, private_key, None if secret is None else secret.reveal()
    )
    if fault is not None:
        opened = "" if password_key is None else f" or one that {password_key} opens"
        allowed = f"a PEM file with the unencrypted key of {keys[0]}{opened}"
        about = (keys[1], keys[0], *(() if password_key is None else (password_key,)))
        yield Finding(about, fault, allowed)


_RULES: tuple[Callable[[AppSettings], Iterator[Finding]], ...] = (
    _ports_differ,
    _reach_needs_protection,
    _data_folder_is_closed,
    _tls_is_whole,
    _cluster_has_a_url,
    *WORKER_RULES,
    _kafka_security_fits,
    _kafka_addresses_exist,
    _batches_fit_the_queue,
    _one_blob_account,
)
