/* sign: what this agent signs about a manifest. Any thread of a step. */
#pragma once
#include <stdint.h>

#include "common/base/buf.h"
#include "common/proof/statement.h"
#include "proto/files.pb-c.h"

struct manifest_sums;
struct step;

struct sign_facts {
    uint64_t read_files, read_bytes, unknown_files, left_out;
    const struct manifest_sums *sums;
};

/* The statement of a manifest, signed by this agent as the destination; a copy goes to folder. */
int sign_manifest(struct step *s, const Godwit__VerifyOrder *o, const struct sign_facts *f,
                  const char *folder, struct buf *ret);
