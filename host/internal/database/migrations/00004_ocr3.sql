-- What OCR3 must find again: its protocol's state under each key, and what
-- products answered for reports. A contract's config is in ocr2_configs.

-- +goose Up
CREATE TABLE ocr3_states (
    job_id        BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    config_digest BYTEA  NOT NULL,
    state_key     TEXT   NOT NULL,
    content       BYTEA  NOT NULL,
    PRIMARY KEY (job_id, config_digest, state_key)
);

CREATE TABLE ocr3_accepted_reports (
    job_id        BIGINT  NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    config_digest BYTEA   NOT NULL,
    seq_nr        BIGINT  NOT NULL,
    report        BYTEA   NOT NULL,
    answer        BOOLEAN NOT NULL,
    PRIMARY KEY (job_id, config_digest, seq_nr, report)
);
