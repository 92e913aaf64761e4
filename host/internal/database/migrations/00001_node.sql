-- Everything a node must find again after a restart. Only SQL that SQLite and
-- PostgreSQL both run: BYTEA and BIGINT instead of BLOB and rowid aliases,
-- instants as BIGINT nanoseconds since 1970 UTC, no automatic numbering.

-- +goose Up
CREATE TABLE sequences (
    name TEXT NOT NULL PRIMARY KEY,
    last BIGINT NOT NULL
);

INSERT INTO sequences (name, last) VALUES ('jobs', 0);

CREATE TABLE jobs (
    id          BIGINT NOT NULL PRIMARY KEY,
    external_id TEXT   NOT NULL UNIQUE,
    name        TEXT   NOT NULL,
    spec        TEXT   NOT NULL,
    created_at  BIGINT NOT NULL
);

CREATE TABLE node_keys (
    kind       TEXT   NOT NULL,
    id         TEXT   NOT NULL,
    chain_kind TEXT   NOT NULL,
    public     BYTEA  NOT NULL,
    sealed     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE TABLE bridges (
    name       TEXT   NOT NULL PRIMARY KEY,
    url        TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE ocr2_configs (
    job_id BIGINT NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    config BYTEA  NOT NULL
);

CREATE TABLE ocr2_states (
    job_id                 BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    config_digest          BYTEA  NOT NULL,
    epoch                  BIGINT NOT NULL,
    highest_sent_epoch     BIGINT NOT NULL,
    highest_received_epoch BYTEA  NOT NULL,
    PRIMARY KEY (job_id, config_digest)
);

CREATE TABLE ocr2_pending_transmissions (
    job_id        BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    config_digest BYTEA  NOT NULL,
    epoch         BIGINT NOT NULL,
    round         BIGINT NOT NULL,
    due_at        BIGINT NOT NULL,
    extra_hash    BYTEA  NOT NULL,
    report        BYTEA  NOT NULL,
    signatures    BYTEA  NOT NULL,
    PRIMARY KEY (job_id, config_digest, epoch, round)
);

CREATE TABLE reporting_limits (
    job_id                 BIGINT  NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    config_digest          BYTEA   NOT NULL,
    name                   TEXT    NOT NULL,
    unique_reports         BOOLEAN NOT NULL,
    max_query_length       BIGINT  NOT NULL,
    max_observation_length BIGINT  NOT NULL,
    max_report_length      BIGINT  NOT NULL,
    PRIMARY KEY (job_id, config_digest)
);

CREATE TABLE accepted_reports (
    job_id        BIGINT  NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    config_digest BYTEA   NOT NULL,
    epoch         BIGINT  NOT NULL,
    round         BIGINT  NOT NULL,
    answer        BOOLEAN NOT NULL,
    PRIMARY KEY (job_id, config_digest, epoch, round)
);

CREATE TABLE juels_per_fee_coin (
    job_id   BIGINT NOT NULL PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    amount   TEXT   NOT NULL,
    taken_at BIGINT NOT NULL
);

CREATE TABLE announcements (
    own_peer_id  TEXT  NOT NULL,
    peer_id      TEXT  NOT NULL,
    announcement BYTEA NOT NULL,
    PRIMARY KEY (own_peer_id, peer_id)
);

CREATE TABLE store_entries (
    plugin_kind TEXT   NOT NULL,
    chain       TEXT   NOT NULL,
    account     TEXT   NOT NULL,
    entry_key   BYTEA  NOT NULL,
    content     BYTEA  NOT NULL,
    version     BIGINT NOT NULL,
    PRIMARY KEY (plugin_kind, chain, account, entry_key)
);
