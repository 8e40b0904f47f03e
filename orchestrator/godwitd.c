/* godwitd: the orchestrator as a system service. Command line and configuration only. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/options.h"
#include "orchestrator/orchestrator.h"

#define CONFIG_DEFAULT "/etc/godwit/godwitd.conf"

/* What only the command line knows; all else is orchestrator_options. */
struct front {
    char *config;
    bool help, version, check, man, new_epoch;
};

static const struct option_row front_options[] = {
    {.name = "config",
     .kind = OPT_STRING,
     .off = offsetof(struct front, config),
     .def = "",
     .value = "FILE",
     .help = "Configuration; " CONFIG_DEFAULT " when it is not given.",
     .letter = 'c'},
    {.name = "check",
     .kind = OPT_BOOL,
     .off = offsetof(struct front, check),
     .def = "no",
     .help = "Read the configuration, say whether it is good, and end."},
    {.name = "new-epoch",
     .kind = OPT_BOOL,
     .off = offsetof(struct front, new_epoch),
     .def = "no",
     .help = "After a backup was put back: raise the epoch over all that agents have obeyed, and "
             "end. Run "
             "it as the daemon's user, while the daemon is stopped."},
    {.name = "help",
     .kind = OPT_BOOL,
     .off = offsetof(struct front, help),
     .def = "no",
     .help = "Show this text.",
     .letter = 'h'},
    {.name = "version",
     .kind = OPT_BOOL,
     .off = offsetof(struct front, version),
     .def = "no",
     .help = "Show the version.",
     .letter = 'V'},
    {.name = "man",
     .kind = OPT_BOOL,
     .off = offsetof(struct front, man),
     .def = "no",
     .help = "Write the options as a list for the man page."},
    {.name = NULL                                                          },
};

/* Puts each word with the table that knows its option. Both tables refuse what neither knows. */
static int split(int argc, char **argv, char **front, int *nfront, char **daemon, int *ndaemon)
{
    *nfront = *ndaemon = 0;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i] + strspn(argv[i], "-");
        size_t len = strcspn(name, "=");
        bool is_long = strncmp(argv[i], "--", 2) == 0;
        const struct option_row *row =
            is_long ? option_find(orchestrator_options, name, len) : NULL;
        bool takes = row && row->kind != OPT_BOOL && name[len] == '\0' && i + 1 < argc;
        char **out = row ? daemon : front;
        int *n = row ? ndaemon : nfront;
        out[(*n)++] = argv[i];
        if (takes)
            out[(*n)++] = argv[++i];
    }
    return 0;
}

static void help(void)
{
    (void)fputs("godwitd: the orchestrator of Godwit\n\nUsage: godwitd [OPTION…]\n\n", stdout);
    options_help(front_options, stdout);
    (void)fputs("\nAlso keys of the configuration file (\"key = value\"):\n\n", stdout);
    options_help(orchestrator_options, stdout);
}

/* Defaults, then the file, then the command line. */
static int configure(const struct front *front, int argc, char **argv,
                     struct orchestrator_conf *conf, struct fault *reterr)
{
    bool named = *front->config;
    char **words = xcalloc((size_t)argc + 1, sizeof *words);
    int n = 0, rc = options_file(orchestrator_options, conf, named ? front->config : CONFIG_DEFAULT,
                                 reterr);
    if (rc == -ENOENT && !named)
        rc = 0;
    else if (rc == -ENOENT)
        (void)fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no file '%s'", front->config);
    if (rc == 0)
        rc = options_args(orchestrator_options, conf, argc, argv, words, &n, reterr);
    free(words);
    return rc;
}

static int new_epoch(const struct orchestrator_conf *conf)
{
    struct fault f = {.err = 0};
    uint64_t epoch = 0;
    int rc = orchestrator_new_epoch(conf, &epoch, &f);
    if (rc < 0)
        (void)fprintf(stderr, "godwitd: %s\n", *f.text ? f.text : strerror(-rc));
    else
        (void)printf("epoch %llu\n", (unsigned long long)epoch);
    return rc < 0;
}

static int start(struct front *front, int argc, char **argv)
{
    struct orchestrator_conf conf = {.state_dir = NULL};
    struct fault f = {.err = 0};
    options_defaults(orchestrator_options, &conf);
    int rc = configure(front, argc, argv, &conf, &f), code = 2;
    if (rc < 0) {
        (void)fprintf(stderr, "godwitd: %s\n", *f.text ? f.text : strerror(-rc));
    } else if (front->check) {
        code = 0;
    } else if (front->new_epoch) {
        code = new_epoch(&conf);
    } else {
        log_init("godwitd", log_level_parse(conf.log_level));
        (void)umask(077);
        code = orchestrator_run(&conf);
    }
    options_free(orchestrator_options, &conf);
    return code;
}

int main(int argc, char **argv)
{
    struct front front = {.config = NULL};
    struct fault f = {.err = 0};
    char **words = xcalloc(3 * ((size_t)argc + 1), sizeof *words);
    char **front_args = words + argc + 1, **daemon_args = front_args + argc + 1;
    int nfront = 0, ndaemon = 0, nwords = 0, code = 0;
    options_defaults(front_options, &front);
    (void)split(argc, argv, front_args, &nfront, daemon_args, &ndaemon);
    int rc = options_args(front_options, &front, nfront, front_args, words, &nwords, &f);
    if (rc < 0 || nwords > 0) {
        (void)fprintf(stderr, "godwitd: %s%s\n",
                      rc < 0 ? f.text : "no such word: ", rc < 0 ? "" : words[0]);
        code = 2;
    } else if (front.help) {
        help();
    } else if (front.version) {
        (void)puts("godwitd " GODWIT_VERSION);
    } else if (front.man) {
        options_man(front_options, stdout);
        options_man(orchestrator_options, stdout);
    } else {
        code = start(&front, ndaemon, daemon_args);
    }
    options_free(front_options, &front);
    free(words);
    return code;
}
