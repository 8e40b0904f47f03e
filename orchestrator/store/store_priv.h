/* store_priv: what the files of this room share. For nobody else. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/store/sqlite.h"
#include "orchestrator/store/store.h"

struct store {
    struct db *db;
    uint64_t epoch;
    char realm[33];
    bool in_transaction;
};
