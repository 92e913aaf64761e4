-- What plugins and relayers have said, and must be known while they are down.

-- +goose Up
CREATE TABLE plugin_programs (
    plugin      TEXT  NOT NULL PRIMARY KEY,
    checksum    TEXT  NOT NULL,
    kind        TEXT  NOT NULL,
    description BYTEA NOT NULL
);

ALTER TABLE jobs ADD COLUMN validation BYTEA NOT NULL DEFAULT '';
