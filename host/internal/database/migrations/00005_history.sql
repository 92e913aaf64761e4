-- What jobs did that an operator may ask for later: runs of pipelines that
-- failed, and errors by their kinds.

-- +goose Up
CREATE TABLE job_runs (
    job_id     BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    run_id     BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    content    BYTEA  NOT NULL,
    PRIMARY KEY (job_id, run_id)
);

CREATE TABLE job_errors (
    job_id      BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind        TEXT   NOT NULL,
    message     TEXT   NOT NULL,
    occurrences BIGINT NOT NULL,
    first_at    BIGINT NOT NULL,
    last_at     BIGINT NOT NULL,
    PRIMARY KEY (job_id, kind)
);
