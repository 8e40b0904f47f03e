/* files_lanes: whether and where a pair's two hosts find each other. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/files_priv.h"

int files_check_lanes(const struct fleet_host *h, bool accepts, struct fault *reterr)
{
    if (!h->lane_pin)
        return fault_set(reterr, FAULT_RETRY, ENOTCONN, "host %s has not told its lane key yet",
                         h->name);
    if (accepts && (h->lane_port == 0 || !h->lane_address || !h->lane_address[0]))
        return fault_set(reterr, FAULT_RETRY, EADDRNOTAVAIL,
                         "host %s has not told where its lanes are reached", h->name);
    return 0;
}

void files_endpoint_of(const struct fleet_host *h, char *ret, size_t size)
{
    bool v6 = strchr(h->lane_address, ':') != NULL && h->lane_address[0] != '[';
    (void)snprintf(ret, size, v6 ? "[%s]:%u" : "%s:%u", h->lane_address, h->lane_port);
}

int files_check_ways(const struct pair_view *p, struct fault *reterr)
{
    int rc = files_check_lanes(p->from, false, reterr);
    return rc == 0 ? files_check_lanes(p->to, true, reterr) : rc;
}
