/* text: short printable forms: hex, ids, sizes, quoted paths. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_ID_LEN 16 /* hex digits of an id made by text_new_id() */

void text_hex(const void *p, size_t n, char *ret);    /* ret holds 2n + 1 bytes */
int text_unhex(const char *hex, void *ret, size_t n); /* exactly 2n digits, else -EINVAL */
int text_random(void *ret, size_t n);                 /* getrandom; aborts if it fails */
void text_new_id(char ret[TEXT_ID_LEN + 1]);          /* 64 random bits in hex */
bool text_is_name(const char *s, size_t max);         /* [A-Za-z0-9][A-Za-z0-9._-]*, ≤ max */
/* Bytes for people: "1.4 GiB". ret holds at least 16 bytes. */
void text_bytes(uint64_t n, char ret[16]);
/* For logs and tables: 'name', control bytes and bytes that are not UTF-8 as \xNN. malloc'd. */
char *text_quote(const void *bytes, size_t len);
/* The same without quotes, for JSON strings: valid UTF-8 whatever the input. malloc'd. */
char *text_printable(const void *bytes, size_t len);
