"""Every way `app.yaml` can be wrong gives one exact line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config import BUILT_IN_JOB_TYPES

Lines = Callable[..., list[str]]

PORT = "a whole number from 0 to 65535"
SHORT = "a duration such as 500ms, 90s, 5m, 24h or 30d, from 10ms to 1h"
QUOTES = "; text that YAML reads otherwise goes in quotes"
KAFKA_NAME = "1 to 200 letters, digits, dots, dashes and underscores"
NAME = "a name of 1 to 63 lower-case letters, digits and underscores that starts with a letter"
SECRET = "text of 1 to 8192 characters without control characters (a secret, never shown)"
TOKEN = "1 to 4096 letters, digits and ASCII punctuation without blanks (a secret, never shown)"
REDIS = "a URL that starts with redis://, rediss://, unix:// (a secret, never shown)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "server_prots: {}",
            (
                "server_prots: found an unknown key; allowed: server_ports, security, workers, "
                "uploads, paths, thresholds, kafka, redis, blobs, duckdb, online, retention, "
                "shutdown, log; did you mean server_ports?"
            ),
        ),
        (
            "shutdown: {grace: 5}",
            "shutdown.grace: found an unknown key; allowed: grace_s; did you mean grace_s?",
        ),
        (
            "redis: {zzzzzzz: 5}",
            "redis.zzzzzzz: found an unknown key; allowed: url, cluster",
        ),
        ("redis: 5", "redis: found the number 5; allowed: a mapping"),
        ("redis: [url]", "redis: found a list; allowed: a mapping"),
        (
            "server_ports: {metrics: 65536}",
            f"server_ports.metrics: found the number 65536; allowed: {PORT}",
        ),
        (
            "server_ports: {metrics: -1}",
            f"server_ports.metrics: found the number -1; allowed: {PORT}",
        ),
        (
            "server_ports: {metrics: 9464.0}",
            f"server_ports.metrics: found the number 9464.0; allowed: {PORT}",
        ),
        (
            "server_ports: {metrics: '9464'}",
            f"server_ports.metrics: found the text '9464'; allowed: {PORT}",
        ),
        (
            "server_ports: {metrics: true}",
            f"server_ports.metrics: found the boolean true; allowed: {PORT}",
        ),
        ("server_ports: {metrics: }", f"server_ports.metrics: found nothing; allowed: {PORT}"),
        (
            f"server_ports: {{metrics: {'9' * 4000}}}",
            f"server_ports.metrics: found the number of 13288 bits; allowed: {PORT}",
        ),
        (
            f"server_ports: {{metrics: {'x' * 200}}}",
            f"server_ports.metrics: found the text '{'x' * 56}...; allowed: {PORT}",
        ),
        (
            "server_ports: {host: '127.0.0.1:80'}",
            (
                "server_ports.host: found the text '127.0.0.1:80'; allowed: an IP "
                "address, without a port"
            ),
        ),
        (
            "kafka: {group_id: no}",
            f"kafka.group_id: found the boolean false; allowed: {KAFKA_NAME}{QUOTES}",
        ),
        (
            "kafka: {topic: 2024-01-01}",
            f"kafka.topic: found the date 2024-01-01; allowed: {KAFKA_NAME}{QUOTES}",
        ),
        ("kafka: {topic: 'a b'}", f"kafka.topic: found the text 'a b'; allowed: {KAFKA_NAME}"),
        ("kafka: {topic: ..}", "kafka.topic: found '..'; allowed: a name Kafka accepts"),
        (
            "kafka: {bootstrap_servers: localhost}",
            (
                "kafka.bootstrap_servers: found the text 'localhost'; allowed: host:port, several "
                "separated by commas"
            ),
        ),
        (
            "kafka: {bootstrap_servers: 'a:1,b:70000'}",
            "kafka.bootstrap_servers: found the port 70000; allowed: a port up to 65535",
        ),
        (
            "kafka: {bootstrap_servers: 'me:pass@broker:9092'}",
            (
                "kafka.bootstrap_servers: found text that may hold a credential (not shown); "
                "allowed: host:port, several separated by commas"
            ),
        ),
        (
            "kafka: {security_protocol: SASL_SLL}",
            (
                "kafka.security_protocol: found the text 'SASL_SLL'; allowed: PLAINTEXT, SSL, "
                "SASL_PLAINTEXT, SASL_SSL; did you mean SASL_SSL?"
            ),
        ),
        (
            "kafka: {sasl_password: 12345}",
            f"kafka.sasl_password: found a value of the wrong type; allowed: {SECRET}",
        ),
        (
            'kafka: {sasl_password: "a\\nb"}',
            f"kafka.sasl_password: found text that does not fit; allowed: {SECRET}",
        ),
        (
            "kafka: {max_message_bytes: 65MiB}",
            (
                "kafka.max_message_bytes: found the text '65MiB'; allowed: a size such as 64KiB, "
                "256MB or 1GiB, from 1KiB to 64MiB"
            ),
        ),
        (
            "kafka: {max_message_bytes: 1mb}",
            (
                "kafka.max_message_bytes: found the text '1mb'; allowed: a size such as 64KiB, "
                "256MB or 1GiB, from 1KiB to 64MiB"
            ),
        ),
        (
            "kafka: {max_future_s: -1}",
            (
                "kafka.max_future_s: found the number -1; allowed: a duration such as 500ms, 90s, "
                "5m, 24h or 30d, from 0s to 365d"
            ),
        ),
        (
            "kafka: {oldest: yesterday}",
            (
                "kafka.oldest: found the text 'yesterday'; allowed: a date or an ISO 8601 time "
                "such as 1970-01-01 or 2024-05-01T12:00:00Z"
            ),
        ),
        (
            "kafka: {oldest: 2024-02-30}",
            "kafka.oldest: found a date or number that does not exist; allowed: one that does",
        ),
        (
            "redis: {cluster: 1}",
            "redis.cluster: found the number 1; allowed: true or false",
        ),
        ("redis: {url: 5}", f"redis.url: found a value of the wrong type; allowed: {REDIS}"),
        (
            "redis: {url: 'http://me:pass@host'}",
            f"redis.url: found a URL of another form; allowed: {REDIS}",
        ),
        (
            "redis: {url: 'redis://me:pa ss@host'}",
            f"redis.url: found a URL with a blank or a control character; allowed: {REDIS}",
        ),
        *(
            (
                f"redis: {{url: '{url}'}}",
                (
                    f"redis.url: found a URL that the Redis client does not understand; allowed: "
                    f"{REDIS}, such as redis://user:password@host:6379/0, with characters like "
                    "/ # ? @ in the password percent-encoded"
                ),
            )
            for url in (
                "redis://:pass@127.0.0.1:notaport/0",
                "redis://:pass@127.0.0.1:99999/0",
                "redis://:pa/ss@host:1/0",
                "redis://:pa#ss@host:1/0",
                "redis://host/notadb",
                "redis://host/0?sokket_timeout=1",
                "redis://host/0?socket_timeout=long",
                "rediss://host/0?ssl_cert_reqs=perhaps",
                "redis://[::1/0",
                "unix:///run/redis?db=x",
            )
        ),
        (
            "blobs: {container: Trellis}",
            (
                "blobs.container: found the text 'Trellis'; allowed: 3 to 63 lower-case letters, "
                "digits and single dashes, a letter or digit at both ends"
            ),
        ),
        (
            "blobs: {account_url: 'https://a.example/?sv=1&sig=abc'}",
            (
                "blobs.account_url: found text that may hold a credential (not shown); allowed: an "
                "http(s) URL without user, query or fragment (a SAS token belongs into "
                "blobs.connection_string)"
            ),
        ),
        (
            "workers: {check_interval_s: 5ms}",
            f"workers.check_interval_s: found the text '5ms'; allowed: {SHORT}",
        ),
        (
            "workers: {check_interval_s: .nan}",
            f"workers.check_interval_s: found the number nan; allowed: {SHORT}",
        ),
        (
            "workers: {check_interval_s: .inf}",
            f"workers.check_interval_s: found the number inf; allowed: {SHORT}",
        ),
        (
            "security: {auth_token: sésame}",
            f"security.auth_token: found text that does not fit; allowed: {TOKEN}",
        ),
        (
            "security: {control_token: open sesame}",
            f"security.control_token: found text that does not fit; allowed: {TOKEN}",
        ),
        (
            "workers: {pools: {Train: 1}}",
            f"workers.pools.Train: found the text 'Train'; allowed: {NAME}",
        ),
        (
            "workers: {pools: {train: 0}}",
            "workers.pools.train: found the number 0; allowed: a whole number from 1 to 256",
        ),
        ("workers: {pools: [1]}", "workers.pools: found a list; allowed: a mapping"),
        (
            "thresholds: {ks_statistic: 1.5}",
            "thresholds.ks_statistic: found the number 1.5; allowed: a number from 0 to 1",
        ),
        (
            "thresholds: {psi: .nan}",
            "thresholds.psi: found the number nan; allowed: a number from 0.001 to 10",
        ),
        (
            "retention: {events_days: 0}",
            "retention.events_days: found the number 0; allowed: a whole number from 1 to 36500",
        ),
        (
            "log: {level: inof}",
            (
                "log.level: found the text 'inof'; allowed: DEBUG, INFO, WARNING, ERROR; did you "
                "mean INFO?"
            ),
        ),
        (
            "log: {levels: {stor: debug}}",
            (
                "log.levels.stor: found the text 'stor'; allowed: app, backends, cli, config, "
                "console, features, generator, intake, jobs, learning, models, retention, rpc, "
                "services, serving, store, tracing, uploads, web, workers; did you mean store?"
            ),
        ),
        (
            'paths: {data: "a\\0b"}',
            "paths.data: found the text 'a\\x00b'; allowed: a path",
        ),
        ("paths: {data: ''}", "paths.data: found the text ''; allowed: a path"),
        (
            "paths: {data: ~nobody-of-this-name/x}",
            (
                "paths.data: found the text '~nobody-of-this-name/x', whose home folder is "
                "unknown; allowed: a path"
            ),
        ),
    ],
)
def test_unfit_value_is_reported(problems: Lines, text: str, problem: str) -> None:
    assert problems({"app.yaml": text}) == [f"app.yaml:1: {problem}"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "server_ports: {service_a: 7000, control: 7000}",
            (
                "server_ports.control: found 7000, which server_ports.service_a has already; "
                "allowed: a port of its own, or 0 for any free one"
            ),
        ),
        (
            "server_ports: {host: 0.0.0.0}",
            (
                "server_ports.host: found an address that is not loopback, without protection; "
                "allowed: 127.0.0.1 or ::1, unless security.tls_certificate or "
                "security.auth_token is set"
            ),
        ),
        (
            "server_ports: {host: '::'}",
            (
                "server_ports.host: found an address that is not loopback, without protection; "
                "allowed: 127.0.0.1 or ::1, unless security.tls_certificate or "
                "security.auth_token is set"
            ),
        ),
        (
            "security: {tls_certificate: README.md}",
            (
                "security.tls_private_key: found nothing; allowed: a path, since "
                "security.tls_certificate is set"
            ),
        ),
        (
            "redis: {cluster: true}",
            (
                "redis.cluster: found true without the URL of a node; allowed: false, or with a "
                "redis(s):// URL"
            ),
        ),
        (
            "workers: {max_python_workers: 2, pools: {train: 2, serve: 1}}",
            (
                "workers.pools: found 3 workers in all; allowed: at most max_python_workers, which "
                "is 2"
            ),
        ),
        (
            "workers: {max_python_workers: 2, pools: {train: 2}}",
            (
                f"workers.pools: found no worker for {', '.join(BUILT_IN_JOB_TYPES)}, whose pool "
                "is default; allowed: a pool default, or more max_python_workers than the pools "
                "have together, since those left over take any job, or security.control_token, "
                "with which workers on other machines take jobs"
            ),
        ),
        (
            "workers: {job_types: {grade: {pool: serve}}}",
            (
                "workers.job_types: found grade without a handler; allowed: handler: "
                "package.module:function"
            ),
        ),
        (
            "workers: {job_types: {process_upload: {handler: 'mine:run'}}}",
            (
                "workers.job_types: found a handler for process_upload, which Trellis brings "
                "along; allowed: none, or another name"
            ),
        ),
        (
            "workers: {check_interval_s: 5s}",
            (
                "workers.check_deadline_s: found 5 s; allowed: more than check_interval_s, which "
                "is 5 s"
            ),
        ),
        (
            "workers: {retry_longest_s: 500ms}",
            "workers.retry_first_s: found 1 s; allowed: at most retry_longest_s, which is 0.5 s",
        ),
        (
            "workers: {memory_hard_bytes: 512MiB}",
            (
                "workers.memory_soft_bytes: found 1GiB; allowed: null, or at most "
                "memory_hard_bytes, which is 512MiB"
            ),
        ),
        (
            "kafka: {security_protocol: SSL}",
            (
                "kafka.security_protocol: found SSL without bootstrap_servers; allowed: PLAINTEXT, "
                "since the embedded broker speaks nothing else"
            ),
        ),
        (
            "kafka: {bootstrap_servers: 'b:1', security_protocol: SASL_SSL, sasl_username: u}",
            "kafka.sasl_password: found nothing; allowed: text, for SASL_SSL",
        ),
        (
            "kafka: {sasl_password: 'hidden'}",
            (
                "kafka.sasl_password: found text with PLAINTEXT; allowed: nothing, or "
                "security_protocol SASL_PLAINTEXT or SASL_SSL"
            ),
        ),
        (
            "kafka: {ssl_ca_file: README.md}",
            (
                "kafka.ssl_ca_file: found a path with PLAINTEXT; allowed: nothing, or "
                "security_protocol SSL or SASL_SSL"
            ),
        ),
        (
            "kafka: {bootstrap_servers: 'b:1', security_protocol: SSL, ssl_ca_file: missing.pem}",
            (
                "kafka.ssl_ca_file: found 'missing.pem', which cannot be read; allowed: the path "
                "of a readable file"
            ),
        ),
        (
            "kafka: {bootstrap_servers: 'b:1', security_protocol: SSL, ssl_key_file: README.md}",
            (
                "kafka.ssl_certificate_file: found nothing; allowed: a path, since "
                "kafka.ssl_key_file is set"
            ),
        ),
        (
            "duckdb: {batch_rows: 300000}",
            (
                "duckdb.batch_rows: found 300000 rows; allowed: at most duckdb.queue_rows, which "
                "is 200000"
            ),
        ),
        (
            "duckdb: {queue_rows: 50000}\nkafka: {batch_rows: 50001}",
            (
                "kafka.batch_rows: found 50001 rows; allowed: at most duckdb.queue_rows, which is "
                "50000"
            ),
        ),
        (
            "duckdb: {queue_bytes: 1MiB}\nkafka: {max_message_bytes: 2MiB}",
            (
                "kafka.max_message_bytes: found 2097152 bytes; allowed: at most "
                "duckdb.queue_bytes, which is 1048576"
            ),
        ),
        (
            "blobs: {account_url: 'https://a.example', connection_string: 'AccountKey=hidden'}",
            (
                "blobs.account_url: found an account beside the one in blobs.connection_string; "
                "allowed: one of the two"
            ),
        ),
    ],
)
def test_settings_that_do_not_go_together_are_reported(
    problems: Lines, text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").touch()
    (line,) = problems({"app.yaml": text})
    assert line.split(": ", 1)[1] == problem


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_needs_no_protection(problems: Lines, host: str) -> None:
    assert problems({"app.yaml": f"server_ports: {{host: '{host}'}}"}) == []


def test_token_opens_other_addresses(problems: Lines) -> None:
    environ = {"TRELLIS_SECURITY__AUTH_TOKEN": "token"}
    assert problems({"app.yaml": "server_ports: {host: 0.0.0.0}"}, environ=environ) == []


def test_other_machines_may_serve_pools_that_have_no_worker_here(problems: Lines) -> None:
    workers = "workers: {max_python_workers: 1, pools: {train: 1}}"
    assert problems({"app.yaml": workers + "\nsecurity: {control_token: t}"}) == []


def test_refused_value_does_not_break_rules_with_its_default(problems: Lines) -> None:
    text = "workers:\n  check_interval_s: 20s\n  check_deadline_s: 2x\n"
    assert problems({"app.yaml": text}) == [
        f"app.yaml:3: workers.check_deadline_s: found the text '2x'; allowed: {SHORT}"
    ]


def test_refused_section_does_not_break_rules_with_its_defaults(problems: Lines) -> None:
    text = "workers: {max_python_workers: 1}\nkafka: 1\nduckdb: {queue_rows: 100, batch_rows: 100}"
    assert problems({"app.yaml": text}) == [
        "app.yaml:2: kafka: found the number 1; allowed: a mapping"
    ]


def test_value_is_judged_even_where_a_stronger_source_replaces_it(problems: Lines) -> None:
    text = "shutdown: {grace_s: soon}"
    assert len(problems({"app.yaml": text}, overrides=["shutdown.grace_s=1"])) == 1


@pytest.mark.parametrize("name", ["app.yaml", "features.yaml", "models.yaml"])
def test_yaml_files_are_needed_and_hold_a_mapping(
    problems: Lines, config_dir: Path, name: str
) -> None:
    for text, found in (("", "an empty file"), ("- 1", "a list"), ("hello", "the text 'hello'")):
        assert f"{name}: found {found}; allowed: a mapping, {{}} at least" in problems({name: text})
    (config_dir / name).unlink()
    assert f"{name}: found no such file in {config_dir}; allowed: a readable file" in problems()


def test_folder_that_does_not_exist_is_three_missing_files(
    problems: Lines, config_dir: Path
) -> None:
    config_dir.rename(config_dir.with_name("elsewhere"))
    assert [line.split(" ")[0] for line in problems()] == [
        "app.yaml:",
        "features.yaml:",
        "models.yaml:",
    ]


@pytest.mark.parametrize("name", ["app.yaml", "redis.env", "models.yaml"])
def test_files_that_cannot_be_read_as_text_are_reported(
    problems: Lines, config_dir: Path, name: str
) -> None:
    path = config_dir / name
    path.write_bytes(b"# fine\n\xff\xfe\n")
    assert problems() == [f"{name}:2: found bytes that are not UTF-8; allowed: UTF-8 text"]
    path.write_bytes(b"#" * (2**20 + 1))
    assert problems() == [f"{name}: found a larger file; allowed: at most 1048576 bytes"]
    path.unlink()
    path.mkdir()
    assert problems() == [f"{name}: found something that is not a file; allowed: a file"]


def test_file_that_nothing_reads_is_reported(problems: Lines) -> None:
    assert problems({"kafkaa.env": "", "app.yml": "", "notes.txt": ""}) == [
        (
            "app.yml: found a file that Trellis does not read; allowed: app.yaml, features.yaml, "
            "models.yaml, azure.env, duckdb.env, redis.env, kafka.env; did you mean app.yaml?"
        ),
        (
            "kafkaa.env: found a file that Trellis does not read; allowed: app.yaml, "
            "features.yaml, models.yaml, azure.env, duckdb.env, redis.env, kafka.env; did you "
            "mean kafka.env?"
        ),
    ]


def test_all_problems_of_all_sources_come_at_once_in_order(problems: Lines) -> None:
    found = problems(
        {
            "app.yaml": "log: {level: x}\nredis: {ur: 1}\nshutdown: [\n",
            "models.yaml": "models: {m: {entity: user, features: [nothing]}}",
            "features.yaml": "entities: {user: {key: user_id}}\nfeatures: {a: {}}",
            "kafka.env": "KAFKA_TOPIK=x",
            "azure.env": "nonsense",
        },
        overrides=["a.b=1", "log.format=xml"],
        environ={"TRELLIS_NOTHING": "1"},
    )
    assert [line.split(": ")[0] for line in found] == [
        "app.yaml:4",
        "azure.env:1",
        "kafka.env:1",
        "environment",
        "--set",
        "--set",
        "features.yaml:2",
        "models.yaml:1",
    ]
