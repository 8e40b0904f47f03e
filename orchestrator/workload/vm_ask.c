/* vm_ask: packs and unpacks what proto/vm_look.proto has. Main thread. */
#include "orchestrator/workload/vm_ask.h"

#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/json_message.h"
#include "orchestrator/workload/message_json.h"
#include "proto/vm_look.pb-c.h"

#define LIBVIRT_TLS_PORT 16514

static json_t *read_body(const Godwit__Result *r, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, r->body.len, r->body.data);
    json_t *o = m ? message_json(m) : NULL;
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return o;
}

json_t *vm_look_answer(const Godwit__Result *r)
{
    return read_body(r, &godwit__vm_look__descriptor);
}

json_t *vm_check_answer(const Godwit__Result *r)
{
    return read_body(r, &godwit__vm_check__descriptor);
}

static uint8_t *pack(const ProtobufCMessage *m, size_t *retlen)
{
    uint8_t *p = xmalloc(protobuf_c_message_get_packed_size(m) + 1);
    *retlen = protobuf_c_message_pack(m, p);
    return p;
}

static uint8_t *pack_look(json_t *o, size_t *retlen)
{
    ProtobufCMessage *m = json_message(&godwit__vm_look_order__descriptor, o);
    uint8_t *p = pack(m, retlen);
    protobuf_c_message_free_unpacked(m, NULL);
    json_decref(o);
    return p;
}

uint8_t *vm_look_order(const char *machine, bool measure, json_t *reach, size_t *retlen)
{
    return pack_look(
        json_pack("{s:s,s:b,s:o?}", "machine", machine, "measure", measure, "reach", reach),
        retlen);
}

uint8_t *vm_sight_order(const char *machine, size_t *retlen)
{
    return pack_look(json_pack("{s:s,s:b}", "machine", machine, "sight_only", true), retlen);
}

uint8_t *vm_reach_order(const char *machine, json_t *reach, size_t *retlen)
{
    return pack_look(
        json_pack("{s:s,s:b,s:o}", "machine", machine, "sight_only", true, "reach", reach), retlen);
}

json_t *vm_reach_of(const struct fleet_host *h, bool own_tcp)
{
    char endpoint[300];
    json_t *list = json_array();
    if (!*h->lane_address || !h->lane_port)
        return list;
    files_endpoint_of(h, endpoint, sizeof endpoint);
    (void)json_array_append_new(list, json_string(endpoint));
    struct fleet_host libvirt = *h;
    libvirt.lane_port = LIBVIRT_TLS_PORT;
    files_endpoint_of(&libvirt, endpoint, sizeof endpoint);
    if (own_tcp)
        (void)json_array_append_new(list, json_string(endpoint));
    return list;
}

static json_t *wishes(const json_t *devices)
{
    json_t *list = json_array(), *path;
    const char *target;
    json_object_foreach((json_t *)(uintptr_t)devices, target, path)(void)
        json_array_append_new(list, json_pack("{s:s,s:O}", "target", target, "path", path));
    return list;
}

uint8_t *vm_check_order(const json_t *look, const json_t *options, size_t *retlen)
{
    const char *pool = json_string_value(json_object_get(options, "pool"));
    const char *library = json_string_value(json_object_get(options, "library"));
    json_t *o =
        json_pack("{s:O?,s:O?,s:s,s:s,s:o}", "machine", json_object_get(look, "machine"), "source",
                  json_object_get(look, "host"), "pool", pool ? pool : "", "library",
                  library ? library : "", "devices", wishes(json_object_get(options, "devices")));
    ProtobufCMessage *m = json_message(&godwit__vm_check_order__descriptor, o);
    uint8_t *p = pack(m, retlen);
    protobuf_c_message_free_unpacked(m, NULL);
    json_decref(o);
    return p;
}
