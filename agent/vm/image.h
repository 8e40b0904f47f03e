/* image: an image of a disk by what its own header says, and the images below it. Headers are
 * written by guests: nothing that one names is opened but to look at its header, and nothing in it
 * is believed. Worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "proto/vm_look.pb-c.h"

#define IMAGE_CHAIN_MAX 32
#define IMAGE_HEADER_MAX (64U << 10)
#define IMAGE_NAME_MAX 1023 /* of what a header names: the format's own limit */

/* What the first bytes of an image say. format: what its owner says it is ("raw": no header
 * counts); NULL: by its first bytes. total: bytes of the whole. Fills ret; trouble where it makes
 * no sense. */
void image_header(const uint8_t *p, size_t n, uint64_t total, const char *format,
                  Godwit__VmImage *ret);
/* One image. Never NULL: trouble tells what could not be seen. Freed with image_free(). */
Godwit__VmImage *image_look(const char *path, const char *format);
Godwit__VmImage *image_free(Godwit__VmImage *i); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(image_free, Godwit__VmImage *)
/* The image and all below it, into f->images; it ends with one that has trouble. */
void image_chain(const char *path, const char *format, Godwit__VmDiskFacts *f);
/* "nfs", "ext4" …; *retshared: it is of the kind that several hosts can see. Static. */
const char *image_file_system(uint64_t magic, bool *retshared);
/* What is free where this folder is, and its file system's number. 0 when it cannot be asked. */
uint64_t image_free_bytes(const char *folder, uint64_t *retmagic);
