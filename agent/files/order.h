/* order: the arguments of files.send and files.receive, checked, as a transfer takes them. */
#pragma once
#include "agent/transfer/spec.h"
#include "common/base/fault.h"
#include "proto/files.pb-c.h"

/* Borrows from the message. */
int order_of_send(const Godwit__SendOrder *o, struct transfer_spec *ret, struct fault *reterr);
int order_of_receive(const Godwit__ReceiveOrder *o, struct transfer_spec *ret,
                     struct fault *reterr);
