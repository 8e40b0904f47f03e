/* place_priv: writing that place.c and incoming.c share. */
#pragma once
#include <stddef.h>
#include <stdint.h>

int place_write(int fd, const void *data, size_t n, uint64_t at); /* all of it */
