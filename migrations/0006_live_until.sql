-- Until when a deployment was live, for those that were and are not: visitors still have their pages open.
ALTER TABLE deployments ADD COLUMN live_until timestamptz;
CREATE INDEX deployments_live_until_idx ON deployments (project_id, live_until) WHERE live_until IS NOT NULL;

-- Of the database, so that whatever makes another deployment live, it is kept: a publish, a promote, a repair.
CREATE FUNCTION note_end_of_live() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deployments
    SET live_until = now()
    WHERE id = OLD.production_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER projects_note_end_of_live
    AFTER UPDATE OF production_id ON projects
    FOR EACH ROW
    WHEN (OLD.production_id IS NOT NULL AND OLD.production_id IS DISTINCT FROM NEW.production_id)
    EXECUTE FUNCTION note_end_of_live();
