-- Whether values are missing more often than chance explains, which makes a feature drifted.
ALTER TABLE drift_features ADD COLUMN missing_p_value DOUBLE;
ALTER TABLE drift_features ADD COLUMN adjusted_missing_p_value DOUBLE;
