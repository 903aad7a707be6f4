-- Whether a deployment goes live when it is ready, decided as it is asked for. Until now every one did.
ALTER TABLE deployments
    ADD COLUMN target text NOT NULL DEFAULT 'production'
        CONSTRAINT deployments_target_known CHECK (target IN ('production', 'preview'));
ALTER TABLE deployments ALTER COLUMN target DROP DEFAULT;
