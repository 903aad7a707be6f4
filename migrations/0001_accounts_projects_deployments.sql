-- Ids are short random lowercase letters and digits made by the application: a DNS label each.

CREATE TABLE users (
    id            text        PRIMARY KEY,
    name          text        NOT NULL,
    email         text        NOT NULL,
    -- NFKC and case folded: two spellings of one address are one account.
    email_key     text        NOT NULL CONSTRAINT users_email_key UNIQUE,
    password_hash text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sessions (
    -- The SHA-256 of the token in the cookie: a copy of this table logs nobody in.
    token_hash bytea       PRIMARY KEY,
    user_id    text        NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_user_id_idx ON sessions (user_id);
CREATE INDEX sessions_expires_at_idx ON sessions (expires_at);

CREATE TABLE projects (
    id               text        PRIMARY KEY,
    user_id          text        NOT NULL REFERENCES users,
    name             text        NOT NULL,
    slug             text        NOT NULL,
    git_url          text        NOT NULL,
    branch           text,
    root_directory   text,
    install_command  text,
    build_command    text,
    output_directory text,
    -- Encrypted names and values; see scalemesh/auth/secretbox.py.
    env_encrypted    bytea,
    production_id    text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    -- The row of a deleted project stays: its slug is never handed to somebody else.
    deleted_at       timestamptz,
    purged_at        timestamptz
);
CREATE UNIQUE INDEX projects_live_slug_key ON projects (slug) WHERE deleted_at IS NULL;
CREATE INDEX projects_slug_idx ON projects (slug);
CREATE INDEX projects_user_id_created_at_idx ON projects (user_id, created_at DESC, id DESC);
CREATE INDEX projects_to_purge_idx ON projects (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

CREATE TABLE deployments (
    id              text        PRIMARY KEY,
    project_id      text        NOT NULL REFERENCES projects,
    number          integer     NOT NULL,
    status          text        NOT NULL DEFAULT 'queued'
        CONSTRAINT deployments_status_known
        CHECK (status IN ('queued', 'building', 'ready', 'failed', 'canceled', 'superseded')),
    ref             text,
    no_cache        boolean     NOT NULL DEFAULT false,
    commit_sha      text,
    commit_message  text,
    framework       text,
    files           integer,
    bytes           bigint,
    error_code      text,
    error_message   text,
    error_hint      text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    started_at      timestamptz,
    finished_at     timestamptz,
    -- The queue: who builds it, until when that may be believed, and how often it was tried.
    attempt         integer     NOT NULL DEFAULT 0,
    worker          text,
    lease_until     timestamptz,
    cancel_wanted   boolean     NOT NULL DEFAULT false,
    idempotency_key text,
    CONSTRAINT deployments_number_key UNIQUE (project_id, number),
    CONSTRAINT deployments_idempotency_key UNIQUE (project_id, idempotency_key)
);
CREATE INDEX deployments_queue_idx ON deployments (created_at) WHERE status = 'queued';
-- One running build a project, whatever two dispatchers believe at once.
CREATE UNIQUE INDEX deployments_one_building_key ON deployments (project_id) WHERE status = 'building';

ALTER TABLE projects
    ADD CONSTRAINT projects_production_id_fkey FOREIGN KEY (production_id) REFERENCES deployments;
