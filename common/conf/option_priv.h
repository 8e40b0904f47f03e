/* option_priv: what the files of this room share. Not for other rooms; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/conf/option.h"

int parse_bool(const char *text, bool *ret); /* -EINVAL */
bool choice_is_one(const char *choices, const char *value);
/* value in quotes, printable and short enough for a fault; malloc'd. */
char *option_shown(const char *value);
