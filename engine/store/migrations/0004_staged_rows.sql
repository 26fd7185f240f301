-- Rows of a job that has not completed lie beside the data file: its next attempt makes them again.

DROP TABLE upload_rows;
