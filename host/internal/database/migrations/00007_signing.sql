-- What relayers had signed or were refused, and contracts of jobs that were
-- removed, whose accepted reports are still sent.

-- +goose Up
CREATE TABLE signatures (
    id        BIGINT NOT NULL PRIMARY KEY,
    signed_at BIGINT NOT NULL,
    plugin    TEXT   NOT NULL,
    relay     TEXT   NOT NULL,
    chain     TEXT   NOT NULL,
    account   TEXT   NOT NULL,
    job       BIGINT NOT NULL,
    what      TEXT   NOT NULL,
    refused   TEXT   NOT NULL
);

CREATE INDEX signatures_account ON signatures (relay, account, (refused <> ''), id);

CREATE TABLE removed_contracts (
    job          BIGINT NOT NULL PRIMARY KEY,
    relay        TEXT   NOT NULL,
    chain        TEXT   NOT NULL,
    contract     TEXT   NOT NULL,
    transmitter  TEXT   NOT NULL,
    relay_config BYTEA  NOT NULL,
    gas_limit    BIGINT NOT NULL,
    removed_at   BIGINT NOT NULL
);
