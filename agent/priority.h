/* priority: how much a step may get in the way of what else this host does. Any thread. */
#pragma once

enum io_priority { IO_PRIORITY_NORMAL = 0, IO_PRIORITY_LOW, IO_PRIORITY_IDLE };

/* -EINVAL: no such word. */
int priority_parse(const char *text, enum io_priority *ret);
/* For the calling thread and those that it starts from now on. -errno. */
int priority_take(enum io_priority p);
