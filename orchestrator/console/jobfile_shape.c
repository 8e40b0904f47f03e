/* jobfile_shape: looks over a YAML file before it is loaded: is it YAML at all, shallow, without
 * aliases? Main thread. */
#include <errno.h>
#include <yaml.h>

#include "common/base/fault.h"
#include "orchestrator/console/jobfile.h"

#define DEPTH_MAX 8 /* a job file has four levels */

static int error_at(const char *file, yaml_mark_t at, const char *what, struct fault *reterr)
{
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s:%zu:%zu: %s", file, at.line + 1,
                     at.column + 1, what);
}

/* Errors of libyaml's reader know only their byte. */
static yaml_mark_t problem_mark(const yaml_parser_t *parser, const char *text, size_t len)
{
    yaml_mark_t at = parser->problem_mark;
    if (at.index || at.line)
        return at;
    for (size_t i = 0; i < parser->problem_offset && i < len; i++) {
        at.column = text[i] == '\n' ? 0 : at.column + 1;
        at.line += text[i] == '\n' ? 1 : 0;
    }
    return at;
}

/* Aliases would let a few lines stand for millions; nesting costs memory. Neither has a use here.
 */
static const char *check_event(const yaml_event_t *event, int *depth)
{
    yaml_event_type_t type = event->type;
    *depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
    *depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
    if (type == YAML_ALIAS_EVENT)
        return "job files have no aliases (*name)";
    return *depth > DEPTH_MAX ? "nested too deep" : NULL;
}

int jobfile_shape(const char *file, const char *text, size_t len, struct fault *reterr)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        return fault_set(reterr, FAULT_STOP_JOB, ENOMEM, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int rc = 0, depth = 0, more = 1;
    while (more && rc == 0) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            rc = error_at(file, problem_mark(&parser, text, len),
                          parser.problem ? parser.problem : "not YAML", reterr);
            break;
        }
        const char *wrong = check_event(&event, &depth);
        if (wrong)
            rc = error_at(file, event.start_mark, wrong, reterr);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return rc;
}
