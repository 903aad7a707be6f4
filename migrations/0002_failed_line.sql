-- The number of the log's line that shows why a deployment failed, where there is one.
ALTER TABLE deployments ADD COLUMN error_line integer;
