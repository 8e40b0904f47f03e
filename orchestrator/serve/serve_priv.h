/* serve_priv: commands that are too long for the file of their noun. Main thread. */
#pragma once
#include "orchestrator/serve/serve.h"

void serve_vm_plan(struct serve *s, const Godwit__ConsoleRequest *req, struct serve_reply *ret);
