/* floor_large: what a copy of large files over TCP costs at the least on this machine: each byte is
 * read, sealed, sent, received, opened and written past the page cache under a temporary name,
 * which is synced and renamed at the end. No digest, no catalogue, no answers, no handshake. To be
 * held beside Godwit (godwit-pipe). Not installed.
 *   godwit-floor-large SOURCE DESTINATION [THREADS]
 * Regular files of whole 256 KiB only, in a file system that knows O_DIRECT; others are left out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lane/lane_gcm.h"
#include "agent/transfer/flight.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/bench/floor_sides.h"

#define CHUNK (256U << 10) /* as Godwit's */
#define ROOM (1U << 20)
#define ROOMS 4U
#define FILES_MAX 1024U

struct head { /* of a record; sealed content and the tag follow */
    uint32_t file, number;
};
struct frame {
    struct head head;
    uint8_t text[CHUNK], tag[GCM_TAG_BYTES];
};

static int from, to;
static char *names[FILES_MAX];
static uint32_t nfiles;
static atomic_uint next_file;

static struct gcm_key *key_new(void)
{
    static const uint8_t key[GCM_KEY_BYTES] = {1};
    struct gcm_key *k = gcm_best()->key_new(key);
    floor_must(k ? 0 : -1, "key");
    return k;
}

/* What one key seals twice is no secret; here nobody listens. */
static struct gcm_record record_of(struct frame *f, uint8_t nonce[GCM_NONCE_BYTES],
                                   const uint8_t *in, uint8_t *out)
{
    memset(nonce, 0, GCM_NONCE_BYTES);
    memcpy(nonce, &f->head, sizeof f->head);
    return (struct gcm_record){nonce, (uint8_t *)&f->head, sizeof f->head, in, out, CHUNK};
}

/* ── source ── */

static void send_file(int sock, uint32_t file, struct gcm_key *key, uint8_t *data, struct frame *f)
{
    struct stat st;
    uint8_t nonce[GCM_NONCE_BYTES];
    int fd = openat(from, names[file], O_RDONLY | O_CLOEXEC);
    floor_must(fd < 0 ? fd : fstat(fd, &st), names[file]);
    for (uint32_t i = 0; i < st.st_size / CHUNK; i++) {
        floor_must(pread(fd, data, CHUNK, (off_t)i * CHUNK), "read");
        f->head = (struct head){file, i};
        struct gcm_record r = record_of(f, nonce, data, f->text);
        floor_must(gcm_best()->seal(key, &r, f->tag), "seal");
        floor_must(send(sock, f, sizeof *f, 0) == (ssize_t)sizeof *f ? 0 : -1, "send");
    }
    (void)close(fd);
}

static void *source_run(void *arg)
{
    int sock = *(int *)arg;
    struct gcm_key *key = key_new();
    uint8_t *data = xmalloc(CHUNK);
    struct frame *f = xmalloc(sizeof *f);
    for (uint32_t file; (file = atomic_fetch_add(&next_file, 1)) < nfiles;)
        send_file(sock, file, key, data, f);
    floor_must(shutdown(sock, SHUT_WR), "shutdown");
    (void)gcm_best()->key_free(key);
    free(data);
    free(f);
    return NULL;
}

/* ── destination ── */

struct writing {
    int fd;
    uint32_t file;
    uint64_t begun; /* rooms that are under way, or were */
    size_t filled;  /* of the one after them */
    uint8_t *rooms[ROOMS];
    struct flight flights[ROOMS];
};

static void land(struct writing *w, uint64_t room)
{
    floor_must(flight_end(&w->flights[room % ROOMS]) == ROOM ? 0 : -1, "write");
}

static void file_end(struct writing *w)
{
    char temp[32];
    if (w->fd < 0)
        return;
    for (uint64_t i = w->begun < ROOMS - 1 ? 0 : w->begun - (ROOMS - 1); i < w->begun; i++)
        land(w, i);
    floor_must(pwrite(w->fd, w->rooms[w->begun % ROOMS], w->filled, (off_t)w->begun * ROOM),
               "write");
    (void)snprintf(temp, sizeof temp, ".floor-%u", w->file);
    floor_must(fdatasync(w->fd), "sync");
    floor_must(renameat(to, temp, to, names[w->file]), temp);
    (void)close(w->fd);
    w->fd = -1;
}

static void file_begin(struct writing *w, uint32_t file)
{
    char temp[32];
    struct stat st;
    file_end(w);
    (void)snprintf(temp, sizeof temp, ".floor-%u", file);
    w->fd = openat(to, temp, O_WRONLY | O_CREAT | O_EXCL | O_DIRECT | O_CLOEXEC, 0600);
    floor_must(w->fd, temp);
    floor_must(fstatat(from, names[file], &st, 0), names[file]); /* as a message would tell it */
    floor_must(ftruncate(w->fd, st.st_size), "size");
    w->file = file;
    w->begun = w->filled = 0;
}

static void chunk_put(struct writing *w, struct frame *f, struct gcm_key *key)
{
    uint8_t nonce[GCM_NONCE_BYTES];
    if (w->fd < 0 || f->head.file != w->file)
        file_begin(w, f->head.file);
    uint8_t *room = w->rooms[w->begun % ROOMS];
    struct gcm_record r = record_of(f, nonce, f->text, room + w->filled);
    floor_must(gcm_best()->open(key, &r, f->tag), "open");
    w->filled += CHUNK;
    if (w->filled < ROOM)
        return;
    flight_begin(&w->flights[w->begun % ROOMS], w->fd, room, ROOM, w->begun * ROOM);
    w->filled = 0;
    if (++w->begun >= ROOMS)
        land(w, w->begun - ROOMS);
}

static void *destination_run(void *arg)
{
    int sock = *(int *)arg;
    struct gcm_key *key = key_new();
    struct frame *f = xmalloc(sizeof *f);
    struct writing w = {.fd = -1};
    for (unsigned i = 0; i < ROOMS; i++)
        floor_must(-posix_memalign((void **)&w.rooms[i], 4096, ROOM), "memory");
    for (ssize_t n; (n = recv(sock, f, sizeof *f, MSG_WAITALL)) != 0;) {
        floor_must(n == (ssize_t)sizeof *f ? 0 : -1, "receive");
        chunk_put(&w, f, key);
    }
    file_end(&w);
    for (unsigned i = 0; i < ROOMS; i++) {
        flight_done(&w.flights[i]);
        free(w.rooms[i]);
    }
    (void)gcm_best()->key_free(key);
    free(f);
    return NULL;
}

/* ── both ── */

static void files_find(void)
{
    struct stat st;
    DIR *dir = fdopendir(dup(from));
    floor_must(dir ? 0 : -1, "source");
    for (struct dirent *d; nfiles < FILES_MAX && (d = readdir(dir));)
        if (fstatat(from, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            st.st_size % CHUNK == 0)
            names[nfiles++] = xstrdup(d->d_name);
    (void)closedir(dir);
}

int main(int argc, char **argv)
{
    unsigned n = floor_threads(argc, argv, "godwit-floor-large");
    if (n == 0)
        return 2;
    int64_t began = clock_mono_us();
    from = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    to = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    floor_must(from, argv[1]);
    floor_must(to, argv[2]);
    files_find();
    return floor_run(n, source_run, destination_run, began);
}
