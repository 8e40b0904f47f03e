/* meter: cuts TCP connections that send bytes without ever ending a message. libzmq keeps the
 * frames of an unfinished message in memory, and neither its message size nor its queue limits
 * count them. Reads the kernel's counters; knows no messages. Main thread. */
#pragma once
#include <czmq.h>
#include <stddef.h>

struct meter;

/* Before bind. budget: bytes that may arrive between two messages. */
int meter_new(struct meter **ret, zsock_t *sock, const char *name, size_t budget);
struct meter *meter_free(struct meter *m); /* before the socket goes */
zsock_t *meter_events(struct meter *m);    /* readable: call meter_read() */
void meter_read(struct meter *m);
/* A whole message came by this connection: what zframe_meta(frame, "__fd") says; NULL is fine. */
void meter_took(struct meter *m, const char *fd);
/* Returns how many connections it cut. */
unsigned meter_sweep(struct meter *m);
