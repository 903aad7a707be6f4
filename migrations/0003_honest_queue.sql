-- When a builder last took a deployment of the user's: whoever waited longest is served next.
ALTER TABLE users ADD COLUMN served_at timestamptz;

-- Set at the first claim, so that no restart of a build gives it more time.
ALTER TABLE deployments ADD COLUMN deadline_at timestamptz;
