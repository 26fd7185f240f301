"""Every metric of the engine, in one place so that names, units and labels stay consistent.

Prefix `trellis_`, base units, no entity key as a label (a label's values must be few and known).
"""

from prometheus_client import Counter, Gauge, Histogram

from engine.scrape_gauge import ScrapeGauge

_FAST_S = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    10,
)

# gRPC edge
RPC_SECONDS = Histogram(
    "trellis_rpc_seconds", "Duration of calls.", ["service", "method", "status"], buckets=_FAST_S
)

RPC_CONNECTIONS_REFUSED = Counter(
    "trellis_rpc_connections_refused",
    "Connections turned away: a flood or what is no gRPC, a failed handshake, too many.",
    ["kind"],
)

# Kafka intake
INTAKE_EVENTS = Counter("trellis_intake_events", "Events committed.")
INTAKE_REJECTED = Counter("trellis_intake_rejected", "Messages sent to dead letters.", ["reason"])
INTAKE_LAG = Gauge("trellis_intake_lag_messages", "Messages not yet committed.", ["partition"])
INTAKE_OFFSET_AGE = Gauge(
    "trellis_intake_offset_age_seconds",
    "Time for which the offset has stood still while messages waited.",
)
INTAKE_STUCK = Gauge("trellis_intake_stuck", "1 while messages wait and the offset stands still.")
INTAKE_INCARNATION_CHANGES = Counter(
    "trellis_intake_incarnation_changes", "Times a topic was found to be another log than before."
)
INTAKE_SKIPPED = Counter(
    "trellis_intake_skipped_messages", "Messages the broker deleted before they were read."
)

# DuckDB writer
WRITER_QUEUE_ROWS = Gauge("trellis_writer_queue_rows", "Rows waiting for the writer.")
WRITER_QUEUE_BYTES = Gauge("trellis_writer_queue_bytes", "Bytes waiting for the writer.")
WRITER_QUEUE_ROWS_MOST = Gauge(
    "trellis_writer_queue_rows_most", "Rows that may wait for the writer before senders wait."
)
WRITER_QUEUE_BYTES_MOST = Gauge(
    "trellis_writer_queue_bytes_most", "Bytes that may wait for the writer before senders wait."
)
WRITER_BATCH_ROWS = Histogram(
    "trellis_writer_batch_rows", "Rows in one commit.", buckets=(1, 10, 100, 1_000, 10_000, 100_000)
)
WRITER_COMMIT_SECONDS = Histogram(
    "trellis_writer_commit_seconds", "Duration of one transaction.", buckets=_FAST_S
)
WRITER_CHECKPOINT_SECONDS = Histogram(
    "trellis_writer_checkpoint_seconds", "Duration of one checkpoint.", buckets=_FAST_S
)
WRITER_BUSY_SECONDS = Gauge(
    "trellis_writer_busy_seconds",
    "For how long the commit or checkpoint under way has been; 0 while there is none.",
)
WRITER_FAILED_REQUESTS = Counter("trellis_writer_failed_requests", "Write requests refused.")
STORE_WAL_BYTES = Gauge("trellis_store_wal_bytes", "Size of the write-ahead log.")
STORE_FILE_BYTES = Gauge("trellis_store_file_bytes", "Size of the data file.")
STORE_FREE_BYTES = Gauge(
    "trellis_store_free_bytes",
    "Room within the data file that new rows are written into before it grows.",
)
STORE_CHECKPOINTS_HELD = Gauge(
    "trellis_store_checkpoints_held", "1 while a backup holds checkpoints off."
)
COMMIT_SEQ = Gauge("trellis_commit_seq", "Sequence number of the last commit.")

# Features
ONLINE_ENTITIES = Gauge("trellis_online_entities", "Entities held by the online store.")
ONLINE_BYTES = Gauge("trellis_online_bytes", "Estimated size of the online store.")
ONLINE_READS = Counter(
    "trellis_online_reads", "Feature reads by where they were answered.", ["source"]
)
ONLINE_EVICTIONS = Counter(
    "trellis_online_evictions", "Entities that left the online store for want of memory."
)
FEATURE_FRESHNESS = Histogram(
    "trellis_feature_freshness_seconds",
    "Event time to availability online.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5, 60, 3600),
)

# Jobs
JOBS_ACCEPTED = Counter("trellis_jobs_accepted", "Jobs accepted.", ["job_type"])
JOBS_FINISHED = Counter(
    "trellis_jobs_finished", "Runs of jobs that reached a final state.", ["job_type", "state"]
)
JOB_ATTEMPTS = Counter("trellis_job_attempts", "Attempts at jobs by why they ended.", ["cause"])
JOBS_DEPTH = Gauge("trellis_jobs_depth", "Jobs in the queue.", ["pool", "state"])
JOBS_OLDEST_SECONDS = Gauge(
    "trellis_jobs_oldest_seconds", "Age of the oldest job that could be run now.", ["pool"]
)
JOBS_CLAIM_SECONDS = Histogram(
    "trellis_jobs_claim_seconds", "Duration of claims that found jobs.", buckets=_FAST_S
)
JOBS_COMPLETE_SECONDS = Histogram(
    "trellis_jobs_complete_seconds", "Duration of taking in results.", buckets=_FAST_S
)
JOBS_REBUILDS = Counter(
    "trellis_jobs_rebuilds", "Times the queue in Redis was brought in line with the data file."
)

# Workers
WORKERS = Gauge("trellis_workers", "Slots by what they or their workers are doing.", ["state"])
WORKER_RESTARTS = Counter(
    "trellis_worker_restarts", "Workers that ended and were replaced, by why.", ["cause"]
)
WORKERS_LINGERING = Gauge(
    "trellis_workers_lingering", "Workers that were killed and that the kernel holds back."
)
WORKER_MEMORY_BYTES = ScrapeGauge(
    "trellis_worker_memory_bytes", "Memory in use by a worker and its children.", "slot"
)
WORKER_CHECK_AGE_SECONDS = ScrapeGauge(
    "trellis_worker_check_age_seconds", "Time since a worker's last check.", "slot"
)
WORKER_CHECK_INTERVAL_SECONDS = Histogram(
    "trellis_worker_check_interval_seconds",
    "Time between two checks of a worker.",
    buckets=(0.1, 0.5, 0.9, 1.1, 1.5, 2, 3, 5, 10),
)
WORKER_JOBS_DONE = Counter("trellis_worker_jobs_done", "Jobs that workers said they have done.")
JOB_COUNTER = Counter(
    "trellis_job_counter", "Sums of what jobs have counted, by type of job.", ["job_type", "name"]
)

# Models
TRAININGS = Counter(
    "trellis_trainings", "Trainings that ended, by what became of them.", ["model", "outcome"]
)
DRIFT_REPORTS = Counter(
    "trellis_drift_reports", "Looks for drift by what they found.", ["model", "verdict"]
)
DRIFTED = Gauge(
    "trellis_drifted", "Whether the last look at a model found drift (1) or not (0).", ["model"]
)
DRIFT_SCORE = Gauge(
    "trellis_drift_score",
    "How far a feature was from the training set at the last look.",
    ["model", "feature", "measure"],
)
FEATURE_DRIFTED = Gauge(
    "trellis_feature_drifted",
    "Whether the last look found that a feature has drifted (1), not by chance, or not (0).",
    ["model", "feature"],
)
MODEL_VERSION = Gauge(
    "trellis_model_version", "The version that an alias of a model points to.", ["model", "alias"]
)
DRIFT_THRESHOLD = Gauge(
    "trellis_drift_threshold",
    "The score from which a feature of a model has drifted.",
    ["model", "measure"],
)
MODEL_TRAINED_TIMESTAMP_SECONDS = Gauge(
    "trellis_model_trained_timestamp_seconds",
    "When the latest trained version of a model was made, in Unix time.",
    ["model"],
)
MODEL_TRAIN_EVERY_SECONDS = Gauge(
    "trellis_model_train_every_seconds",
    "How often a model is to be trained; without a series only on drift and by call.",
    ["model"],
)

# Predictions
PREDICTIONS = Counter(
    "trellis_predictions",
    "Predictions asked for, by how they ended.",
    ["model", "version", "outcome"],
)
PREDICTION_SECONDS = Histogram(
    "trellis_prediction_seconds", "From the request to its prediction.", buckets=_FAST_S
)
SCORING_QUEUE_ROWS = Gauge("trellis_scoring_queue_rows", "Rows that wait for a scoring worker.")
SCORING_BATCH_ROWS = Histogram(
    "trellis_scoring_batch_rows",
    "Rows in one batch.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000),
)
SCORING_BATCH_SECONDS = Histogram(
    "trellis_scoring_batch_seconds",
    "From handing out a batch to its predictions.",
    buckets=_FAST_S,
)
SCORING_RETRIED_ROWS = Counter(
    "trellis_scoring_retried_rows", "Rows given to another worker, by why.", ["cause"]
)
SCORING_LATE_BATCHES = Counter(
    "trellis_scoring_late_batches", "Predictions that came when nobody waited for them any more."
)
SCORERS = Gauge("trellis_scorers", "Workers that score.")
PREDICTIONS_KEPT = Counter("trellis_predictions_kept", "Predictions written to the data file.")
PREDICTIONS_DROPPED = Counter(
    "trellis_predictions_dropped",
    "Predictions that were to be kept and could not be.",
    ["reason"],
)
SHADOWS_SKIPPED = Counter(
    "trellis_shadow_rows_skipped", "Rows that a challenger was not asked about, by why.", ["reason"]
)
ARTIFACTS_REFUSED = Counter(
    "trellis_artifacts_refused",
    "Parts of versions that were not used because they are missing or not what was registered.",
    ["reason"],
)

# Backends
BACKEND_UP = Gauge("trellis_backend_up", "1 while the backend answers.", ["backend"])
BACKEND_RESTARTS = Counter("trellis_backend_restarts", "Restarts of embedded servers.", ["backend"])

# Blobs
BLOB_READ_BYTES = Counter("trellis_blob_read_bytes", "Content read from the blob store.")
BLOB_WRITTEN_BYTES = Counter("trellis_blob_written_bytes", "Content stored in the blob store.")
BLOB_RETRIES = Counter("trellis_blob_retries", "Requests to the blob store that were repeated.")
BLOB_CORRUPT = Counter(
    "trellis_blob_corrupt",
    "Times content was refused because it was not what was written or asked for.",
    ["found_in"],
)
ARTIFACT_CACHE_READS = Counter(
    "trellis_artifact_cache_reads", "Artifacts read by where they were found.", ["source"]
)
ARTIFACT_CACHE_BYTES = Gauge("trellis_artifact_cache_bytes", "Size of the cached artifacts.")

# Retention
RETENTION_ROWS = Counter("trellis_retention_rows", "Rows moved to the blob store.", ["table"])
RETENTION_BYTES = Counter(
    "trellis_retention_bytes", "Size of the archives that rows were moved to.", ["table"]
)
RETENTION_FAILURES = Counter(
    "trellis_retention_failures", "Times rows could not be moved and stayed.", ["table"]
)
RETENTION_ARCHIVE_SECONDS = Histogram(
    "trellis_retention_archive_seconds",
    "From reading rows to their archive stored and themselves deleted.",
    ["table"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
RETENTION_SUCCESS_TIMESTAMP_SECONDS = Gauge(
    "trellis_retention_success_timestamp_seconds",
    "When everything that was due was last found to be moved, in Unix time; without a series the "
    "rows of a table stay for ever.",
    ["table"],
)
RETENTION_OLDEST_TIMESTAMP_SECONDS = Gauge(
    "trellis_retention_oldest_timestamp_seconds",
    "The time of a table's oldest row in the data file, in Unix time.",
    ["table"],
)

# Disks
DISK_FREE_BYTES = Gauge(
    "trellis_disk_free_bytes",
    "Room that the engine may still use on the disk of a folder.",
    ["folder"],
)
DISK_SIZE_BYTES = Gauge("trellis_disk_size_bytes", "Size of the disk of a folder.", ["folder"])

# Traces
TRACE_SPANS_SENT = Counter("trellis_trace_spans_sent", "Spans that the collector has taken.")
TRACE_SPANS_DROPPED = Counter(
    "trellis_trace_spans_dropped", "Spans that did not reach the collector, by why.", ["reason"]
)

# Engine
LOOP_LAG_SECONDS = Histogram(
    "trellis_loop_lag_seconds", "How late the event loop woke a sleeping task.", buckets=_FAST_S
)
