-- What was interrupted waits a little before it is tried again; no builder takes it before this.
ALTER TABLE deployments ADD COLUMN retry_at timestamptz;
