/* faillist_priv: for faillist.c and its test only. */
#pragma once
#include "agent/transfer/faillist.h"

extern uint64_t faillist_bytes_max; /* of a list: some ten million rows */
