-- Specs of jobs and URLs of bridges hold secrets, and are sealed. What was
-- stored in clear before is sealed when the keystore has been opened; the
-- sequence is 1 until then.

-- +goose Up
ALTER TABLE jobs RENAME COLUMN spec TO clear_spec;
ALTER TABLE jobs ADD COLUMN spec BYTEA NOT NULL DEFAULT '';
ALTER TABLE bridges RENAME COLUMN url TO clear_url;
ALTER TABLE bridges ADD COLUMN url BYTEA NOT NULL DEFAULT '';
INSERT INTO sequences (name, last) VALUES ('clear', 1);
