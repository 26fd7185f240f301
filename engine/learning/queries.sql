-- name: jobs_under_way
-- Jobs of a type that were accepted, or started again, and have not ended.
SELECT job_id, payload->>'model'
FROM job_log
WHERE job_id IN (
    SELECT began.job_id
    FROM job_log began
    LEFT JOIN job_outcomes ended ON ended.outcome_key = began.job_id || '/' || began.run
    WHERE began.change IN ('accepted', 'retried')
    GROUP BY began.job_id
    HAVING arg_max(ended.outcome_key IS NULL, began.run)
)
AND change = 'accepted' AND job_type = $job_type

-- name: last_jobs
-- When a job of a type was last started for each model, and one that cools down, microseconds.
SELECT
    payload->>'model',
    epoch_us(max(logged_at)),
    epoch_us(max(logged_at) FILTER (WHERE payload->>'cause' IN ('drift', 'schedule')))
FROM job_log
WHERE change = 'accepted' AND job_type = $job_type
GROUP BY ALL

-- name: uncured_drift
-- How many trainings of each model were called for by drift since a look last found none.
SELECT trained.payload->>'model', count(*)
FROM job_log trained
LEFT JOIN (
    SELECT model, max(checked_at) AS cured_at
    FROM drift_reports
    WHERE verdict <> 'DRIFTED'
    GROUP BY model
) cured ON cured.model = trained.payload->>'model'
WHERE trained.change = 'accepted'
    AND trained.job_type = 'train'
    AND trained.payload->>'cause' = 'drift'
    AND (cured.cured_at IS NULL OR trained.logged_at > cured.cured_at)
GROUP BY ALL

-- name: scores_of_window
-- What a version predicted in a window, at most `most` of it, chosen by a hash that the seed changes.
SELECT score, prediction
FROM predictions
WHERE model = $model
    AND version = $version
    AND NOT shadow
    AND commit_seq <= $commit_seq
    AND predicted_at > make_timestamp($start_us)
    AND predicted_at <= make_timestamp($end_us)
ORDER BY hash(prediction_id, $seed)
LIMIT $most

-- name: undecided_reports
-- Reports of drift of which is not yet known whether they start a training, the latest of each model
-- first and by its side: that one counts.
SELECT report_id, max(report_id) OVER (PARTITION BY model) AS latest_id
FROM drift_reports
WHERE verdict = 'DRIFTED' AND retrain_job_id IS NULL AND detail->>'not_retrained_because' IS NULL
ORDER BY report_id DESC

-- name: latest_reports
-- The latest report of each model.
SELECT max(report_id) FROM drift_reports GROUP BY model

-- name: reports
-- Reports, the latest first, before one.
SELECT
    report_id, model, version, job_id, cause, epoch_us(checked_at), epoch_us(window_start),
    epoch_us(window_end), rows_checked, verdict, detail, retrain_job_id
FROM drift_reports
WHERE ($model = '' OR model = $model)
    AND ($report_id = '' OR report_id = $report_id)
    AND ($before = '' OR report_id < $before)
ORDER BY report_id DESC
LIMIT $most

-- name: features_of_reports
-- The features of reports, the furthest drifted first.
SELECT
    report_id, feature, kind, reference_rows, current_rows, psi, ks_statistic, ks_p_value,
    chi_squared, chi_squared_p_value, adjusted_p_value, missing_p_value, adjusted_missing_p_value,
    wasserstein, reference_missing_rate, current_missing_rate, new_categories, drifted, reasons, reference_bins, current_bins
FROM drift_features
WHERE report_id IN (SELECT unnest($report_ids))
ORDER BY report_id, drifted DESC, coalesce(psi, 0) DESC, feature

-- name: champion_since
-- Since when a version is champion, microseconds.
SELECT epoch_us(max(logged_at))
FROM model_log
WHERE model = $model
    AND version = $version
    AND change = 'alias set'
    AND detail->>'alias' = 'champion'
