-- What reads a private repository over https. Encrypted; see scalemesh/auth/secretbox.py.
ALTER TABLE projects ADD COLUMN access_token_encrypted bytea;
