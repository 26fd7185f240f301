-- name: trainings_under_way
-- Trainings that were accepted, or started again, and have not ended.
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
AND change = 'accepted' AND job_type = 'train'

-- name: last_trainings
-- When a training of each model was last started that no person called for, microseconds.
SELECT payload->>'model', epoch_us(max(logged_at))
FROM job_log
WHERE change = 'accepted' AND job_type = 'train' AND payload->>'cause' <> 'call'
GROUP BY ALL
