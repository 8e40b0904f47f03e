/* limits: every bound on what a peer may send, checked before allocation. Numbers are repeated in
 * docs/PROTOCOL.md. Only constants. */
#pragma once

#define WIRE_VERSION 1
#define WIRE_VERSION_MIN 1 /* the orchestrator serves nothing older */

/* Hello.can, Welcome.can */
#define WIRE_CAN_RATE 1ULL      /* the agent keeps a step to a Rate */
#define WIRE_CAN_MAP 2ULL       /* it maps ids, of files and of share descriptors */
#define WIRE_CAN_PASSWORDS 4ULL /* it has the steps accounts.give and accounts.take */

#define LIMIT_CONTROL_BYTES (1 << 20) /* one ZeroMQ message (ZMQ_MAXMSGSIZE) */
#define WIRE_CURVE_BYTES 33           /* what CURVE adds to a message; ZMQ_MAXMSGSIZE counts it */
#define LIMIT_ENROL_BYTES (16 << 10)  /* one message on the enrolment socket */
#define LIMIT_STRING 1024             /* any string field but the ones below */
#define LIMIT_HOST_NAME 63
#define LIMIT_JOB_NAME 63
#define LIMIT_PATH (64 << 10) /* a path as bytes: trees may be deeper than PATH_MAX */
#define LIMIT_RUNNING 1024    /* op_ids in one hello */
#define LIMIT_FAILURE_GROUPS 32
#define LIMIT_FAILURE_EXAMPLES 5
#define LIMIT_SECRET (64 << 10) /* a credential: a password, a keytab, a ticket cache */
#define LIMIT_USER 255
#define LIMIT_CAUSE 31 /* "EACCES", "VERIFY_CONTENT" */
#define LIMIT_CONSOLE_ARGS 64
#define LIMIT_CONSOLE_ARG (512 << 10)    /* one console argument as it is */
#define LIMIT_CONSOLE_PACKED (960 << 10) /* one that is packed: a wave file as JSON */
#define LIMIT_CONSOLE_OPENED (8 << 20)   /* and when it is opened */
#define LIMIT_PAIRS 10000 /* pairs of one job; with paths of 250 bytes they fit one argument */
#define LIMIT_SERVER_KEYS 4
#define LIMIT_RATE_WINDOWS 64 /* of a calendar, sent ahead */

#define WIRE_HEARTBEAT_IVL_MS 15000 /* ZMQ_HEARTBEAT_*: libzmq's own, against dead links */
#define WIRE_HEARTBEAT_TIMEOUT_MS 45000
#define WIRE_HEARTBEAT_TTL_MS 60000 /* over 60,000 libzmq 4.3.4 reconnects in a loop */
#define WIRE_HANDSHAKE_IVL_MS 10000
#define WIRE_BACKLOG 4096

#define PORT_AGENTS 7401 /* orchestrator, first key slot */
#define PORT_ENROL 7402
#define PORT_AGENTS_B 7403 /* second key slot, bound while a key rotation overlaps */
#define PORT_ENROL_B 7404
#define PORT_LANES 7410 /* each agent */
