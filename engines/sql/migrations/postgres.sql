CREATE TABLE IF NOT EXISTS leasehold (
    name text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    record text NOT NULL,
    written timestamptz NOT NULL,
    era text NOT NULL,
    token bigint NOT NULL,
    fence bigint NOT NULL,
    holder text,
    held_until timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
