/* signature: Ed25519 keys, each in one 0600 file, and what they sign. Says nothing about whose key
 * is to be believed. Any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

#define SIGN_PUBLIC_BYTES 32
#define SIGN_BYTES 64

struct sign_key;

/* Makes the file when there is none. -EPERM: others may read it; -EBADMSG: it holds no such key. */
int sign_key_load_or_new(const char *path, struct sign_key **ret);
struct sign_key *sign_key_free(struct sign_key *k); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(sign_key_free, struct sign_key *)
const uint8_t *sign_key_public(const struct sign_key *k); /* SIGN_PUBLIC_BYTES */
int sign_make(const struct sign_key *k, const void *p, size_t n, uint8_t ret[SIGN_BYTES]);
/* 0, or -EBADMSG for whatever is not that key's signature of these bytes. */
int sign_check(const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *p, size_t n,
               const uint8_t signature[SIGN_BYTES]);
