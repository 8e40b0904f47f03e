/* managed: the text of the file that Godwit keeps its shares in, beside smb.conf, and the line of
 * smb.conf that includes it. Pure; any thread. */
#pragma once
#include "common/base/buf.h"

#define MANAGED_NAME "godwit.conf"
#define MANAGED_SHARE                                                                              \
    "# godwit: share " /* a line for each share of a block, also those of the registry */

/* What text says of other pairs; malloc'd. */
char *managed_without(const char *text, const char *pair);
/* The block of one pair, without its marks; malloc'd, "" when there is none. */
char *managed_block(const char *text, const char *pair);
/* text (of other pairs) with a block of this pair; an empty one is left out. malloc'd. */
char *managed_with(const char *text, const char *pair, const char *block);
/* smb.conf's text with a line at its end that includes file, unless it has one; malloc'd. */
char *managed_include(const char *smbconf, const char *file);
/* The same text with each include of file being one of other. malloc'd. */
char *managed_redirect(const char *smbconf, const char *file, const char *other);
