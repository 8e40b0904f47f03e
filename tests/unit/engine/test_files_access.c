/* test_files_access: where the answers of two hosts about who may open what differ. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/workload/workload.h"
#include "tests/unit/test.h"

#define NO_SHARE "[\"?no share has it\",\"?no share has it\",\"?no share has it\"]"

static void only_different_answers_are_findings(void **state)
{
    (void)state;
    json_t *from = json_loads(
        "{\"users\":[\"ann\"],\"paths\":[{\"p\":\"a\",\"d\":false},{\"p\":\"\",\"d\":true}],"
        "\"local\":[[[\"\",\"EACCES\",\"EACCES\"],[\"\",\"\",\"\"]]],"
        "\"smb\":[[[\"?x\",\"\",\"\"]," NO_SHARE "]]}",
        0, NULL);
    json_t *to = json_loads(
        "{\"users\":[\"ann\"],\"paths\":[],"
        "\"local\":[[[\"\",\"EPERM\",\"\"],[\"EACCES\",\"\",\"?why\"]]],\"smb\":[[[\"\"]," NO_SHARE
        "]]}",
        0, NULL);
    json_t *o = workload_files.access_compare(from, to);
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    static const char *const parts[] = {
        "\"destination\":\"yes\",\"path\":\"a\",\"right\":\"delete\",\"source\":\"no: EACCES\"",
        "\"destination\":\"no: EACCES\",\"path\":\".\",\"right\":\"list\",\"source\":\"yes\"",
        "\"local\":{\"different\":2,\"outside\":0,\"same\":3,\"unknown\":1",
        "\"smb\":{\"different\":0,\"outside\":3,\"same\":0,\"unknown\":3",
    };
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        if (!strstr(text, parts[i]))
            fail_msg("no %s in %s", parts[i], text);
    assert_int_equal(json_array_size(json_object_get(o, "findings")), 2);
    free(text);
    json_decref(o);
    json_decref(from);
    json_decref(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_different_answers_are_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
