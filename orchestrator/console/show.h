/* show: JSON documents as neat columns for people. Never writes a raw control byte. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum cell {
    CELL_TEXT,
    CELL_PLAIN,   /* 12345: ports, numbers of rows */
    CELL_COUNT,   /* 12,345 */
    CELL_BYTES,   /* 1.4 GiB */
    CELL_RATE,    /* 1.4 GiB/s */
    CELL_PERCENT, /* 38% */
    CELL_AGE,     /* milliseconds as "3 min" */
    CELL_DATE,    /* milliseconds since 1970 as "2026-11-21" */
    CELL_PLACE,   /* {"host", "path"} as host:path */
    CELL_YES,     /* yes or no */
    CELL_LIST,    /* array of texts */
};

struct column {
    const char *title;
    const char *key; /* "counters.bytes" goes into objects */
    enum cell kind;
};

/* cols end with title NULL. Prints nothing when there are no rows. */
void show_table(FILE *out, const struct column *cols, const json_t *rows);
/* "Title:  value" lines; what is missing, empty, or a CELL_YES of no is left out. */
void show_fields(FILE *out, const struct column *cols, const json_t *doc);
/* malloc'd; "-" when there is none. */
char *show_cell(const json_t *value, enum cell kind);
const json_t *show_find(const json_t *doc, const char *key);

/* Values of a document; absent or of another type: "" and 0. */
const char *show_str(const json_t *doc, const char *key);
int64_t show_int(const json_t *doc, const char *key);
double show_num(const json_t *doc, const char *key);
bool show_flag(const json_t *doc, const char *key);

/* The text with control bytes (but newline) and what is not UTF-8 as \xNN. malloc'd. */
char *show_clean(const char *text);
/* Columns that text takes on a terminal. */
int show_width(const char *text);
/* Cuts text to fit width columns, with "~" as the last one; in place. */
void show_fit(char *text, int width);
void show_count(uint64_t n, char ret[32]);     /* 12,345 */
void show_duration(uint64_t ms, char ret[32]); /* "250 ms" "12 s" "3 min" "2 h 5 min" "4 d" */
bool show_utf8(void);                          /* the terminal takes more than ASCII */
bool show_color(FILE *out);                    /* a terminal, and NO_COLOR is not set */
