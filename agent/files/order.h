/* order: the arguments of files.send and files.receive, checked, as a transfer takes them. */
#pragma once
#include "agent/transfer/spec.h"
#include "common/base/fault.h"
#include "common/base/filter.h"
#include "proto/files.pb-c.h"

/* What an order leaves out; a missing message leaves out nothing. */
int order_filter(const Godwit__Filter *f, struct filter **ret, struct fault *reterr);
/* -EINVAL: not well formed. Likewise to be freed. */
int order_options(const Godwit__TransferOptions *o, struct transfer_options *ret);
/* Borrows from the message. Of what was made order_done() frees it. */
int order_of_send(const Godwit__SendOrder *o, struct transfer_spec *ret, struct fault *reterr);
/* Frees what order_of_send() or order_of_receive() made. */
void order_done(struct transfer_spec *s);
int order_of_receive(const Godwit__ReceiveOrder *o, struct transfer_spec *ret,
                     struct fault *reterr);
