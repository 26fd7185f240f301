"""The flat view of `app.yaml`: every setting by its dotted key and its environment names."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from engine.config.kinds import Kind
from engine.config.sections import AppSettings
from engine.config.structure import is_optional, kind_of

ENVIRONMENT_PREFIX = "TRELLIS_"


@attrs.frozen
class Setting:
    """One setting: `section.name`, its annotation and default."""

    section: str
    name: str
    annotation: Any
    default: Any
    meaning: str

    @property
    def key(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def environment_name(self) -> str:
        """The variable that sets it, `TRELLIS_SECTION__NAME`."""
        return f"{ENVIRONMENT_PREFIX}{self.section}__{self.name}".upper()

    @property
    def kind(self) -> Kind | None:
        """Its kind; None for a mapping."""
        return kind_of(self.annotation)

    @property
    def optional(self) -> bool:
        return is_optional(self.annotation)


def _collect() -> Mapping[str, Setting]:
    settings = {}
    defaults = AppSettings()
    for section in attrs.fields(AppSettings):
        section_defaults = getattr(defaults, section.name)
        for field in attrs.fields(type(section_defaults)):
            default = getattr(section_defaults, field.name)
            meaning = field.metadata["meaning"]
            setting = Setting(section.name, field.name, field.type, default, meaning)
            settings[setting.key] = setting
    return MappingProxyType(settings)


SETTINGS = _collect()
"""Every setting of `app.yaml` by its dotted key, in the order of the file."""

ENV_FILE_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "azure.env": {
            "AZURE_STORAGE_CONNECTION_STRING": "blobs.connection_string",
            "AZURE_STORAGE_ACCOUNT_URL": "blobs.account_url",
            "AZURE_STORAGE_CONTAINER": "blobs.container",
        },
        "duckdb.env": {
            "DUCKDB_MEMORY_LIMIT": "duckdb.memory_limit_bytes",
            "DUCKDB_THREADS": "duckdb.threads",
            "DUCKDB_READER_THREADS": "duckdb.reader_threads",
        },
        "redis.env": {"REDIS_URL": "redis.url"},
        "kafka.env": {
            "KAFKA_BOOTSTRAP_SERVERS": "kafka.bootstrap_servers",
            "KAFKA_TOPIC": "kafka.topic",
            "KAFKA_GROUP_ID": "kafka.group_id",
            "KAFKA_SECURITY_PROTOCOL": "kafka.security_protocol",
            "KAFKA_SASL_MECHANISM": "kafka.sasl_mechanism",
            "KAFKA_SASL_USERNAME": "kafka.sasl_username",
            "KAFKA_SASL_PASSWORD": "kafka.sasl_password",
            "KAFKA_SSL_CA_FILE": "kafka.ssl_ca_file",
            "KAFKA_SSL_CERTIFICATE_FILE": "kafka.ssl_certificate_file",
            "KAFKA_SSL_KEY_FILE": "kafka.ssl_key_file",
            "KAFKA_SSL_KEY_PASSWORD": "kafka.ssl_key_password",
        },
    }
)
"""The keys each env file may hold, with what each one sets; the environment may hold them too."""
