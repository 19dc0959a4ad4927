CREATE TABLE IF NOT EXISTS leasehold (
    name varbinary(512) NOT NULL PRIMARY KEY,
    version bigint NOT NULL,
    record mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    written bigint NOT NULL,
    era varchar(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    token bigint NOT NULL,
    fence bigint NOT NULL,
    holder varchar(320) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    held_until datetime(6) NULL
) ENGINE = InnoDB;
