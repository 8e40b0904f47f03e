/* cutover_table: the rows, in the seed's order; rows of our own stand between them. Pure. */
#include "orchestrator/workload/cutover_table.h"

#include <errno.h>
#include <string.h>

#include "common/base/mem.h"

#define NO_ACCOUNT "none is needed: the agent is root on its host and needs no domain"
#define NO_REBOOT "services are restarted, the host is not"
#define ONLY_2003 "only for Windows Server 2003"

#define ROW(id_, seed_, percent_, text_, ...)                                                      \
    {                                                                                              \
        .id = (id_), .seed = (seed_), .percent = (percent_), .text = (text_), __VA_ARGS__          \
    }
#define NEVER(why) .by = DOER_NOBODY, .otherwise = (why)
#define DOES(on_, stage_, limit_, waits_)                                                          \
    .by = DOER_IDENTITY, .on = (on_), .stage = (stage_), .limit_s = (limit_), .waits = (waits_)
#define ALL .when = IN_ALL
#define UNDO .undo = true
#define OWN .own = true
#define SWAP .swap = true
/* How long it takes nobody knows: as long as something moves. A file system may need minutes for
 * what it was given before it takes more. */
#define MOVES .still_s = 600

const struct cutover_row cutover_rows[CUTOVER_ROWS] = {
    ROW("idle", 0, 0, "The cutover is idle.", NEVER("nothing is to be done for it")),
    ROW("source.connect", 2, 2, "Connecting to the source computer...",
        DOES(ON_SOURCE, "connect", 60, "the source's agent"), ALL),
    ROW("destination.connect", 5, 5, "Connecting to the destination computer...",
        DOES(ON_DESTINATION, "connect", 60, "the destination's agent"), ALL),
    ROW("check", 5, 5, "Checking both computers against the plan...",
        DOES(ON_BOTH, "check", 120, "both agents and the domain controller"), ALL, OWN),
    ROW("source.ttl", 5, 5, "Letting others remember the names in DNS for a short time only...",
        DOES(ON_SOURCE, "ttl", 60, "the domain's name server"),
        .when = IN_TRANSPLANT | IN_REJOIN | IN_DOMAIN, .otherwise = "the servers are in no domain",
        UNDO, OWN, .early = true, .unmoved = true),
    ROW("source.staged", 5, 5, "Making the source's new account in the directory, disabled...",
        DOES(ON_SOURCE, "staged", 60, "the domain controller"),
        .when = IN_TRANSPLANT | IN_REJOIN | IN_DOMAIN, .otherwise = "the servers are in no domain",
        UNDO, OWN, .early = true),
    ROW("witness.before", 5, 5, "Trying the source as a user from a third computer...",
        DOES(ON_WITNESS, "users", 120, "the third computer's agent"), ALL, OWN),
    ROW("permissions", 6, 6,
        "Setting security permissions on the computer object in Active Directory...",
        NEVER("the source's own object is kept, with its permissions")),
    ROW("source.leftovers", 8, 8,
        "Making sure that the temporary account that we created was successfully deleted on the "
        "source computer...",
        NEVER("none is made; what another cutover left is looked for at 2%")),
    ROW("source.account", 11, 11,
        "Creating a temporary local user account on the source computer...", NEVER(NO_ACCOUNT)),
    ROW("source.guard", 13, 13,
        "Setting the local account token filter policy on the source computer...",
        DOES(ON_SOURCE, "guard", 30, "the source to set its dead-man timer"), ALL, UNDO),
    ROW("source.reconnect", 16, 16,
        "Connecting to the source computer using the temporary local user account...",
        NEVER(NO_ACCOUNT)),
    ROW("destination.leftovers", 19, 19,
        "Making sure that the temporary account that we created was successfully deleted on the "
        "destination computer...",
        NEVER("none is made; what another cutover left is looked for at 5%")),
    ROW("destination.account", 22, 22,
        "Creating a temporary local user account on the destination computer...",
        NEVER(NO_ACCOUNT)),
    ROW("destination.guard", 25, 25,
        "Setting the local account token filter policy on the destination computer...",
        DOES(ON_DESTINATION, "guard", 30, "the destination to set its dead-man timer"), ALL, UNDO),
    ROW("destination.reconnect", 27, 26,
        "Connecting to the destination computer using the temporary local user account...",
        NEVER(NO_ACCOUNT)),
    ROW("destination.stop", 26, 26, "Stopping the file services of the destination...",
        DOES(ON_DESTINATION, "stop", 60, "Samba to end on the destination"), ALL, UNDO, OWN),
    ROW("source.fence", 27, 27, "Making the source's shares read-only...",
        DOES(ON_SOURCE, "fence", 60, "the source's shares to be read-only"), ALL, UNDO, OWN),
    ROW("final", 28, 28, "Copying what changed (final pass)...", .by = DOER_COPY, ALL, OWN, MOVES),
    ROW("source.close", 29, 29, "Closing the source's shares...",
        DOES(ON_SOURCE, "close", 60, "the source's users to be out"), ALL, UNDO, OWN, SWAP),
    ROW("stop", 29, 29, "Stopping the file services of the source...",
        DOES(ON_SOURCE, "stop", 60, "Samba to end on the source"), ALL, UNDO, OWN, SWAP),
    ROW("last", 29, 29, "Copying what changed until the shares were closed...", .by = DOER_COPY,
        ALL, OWN, MOVES),
    ROW("verify", 29, 29, "Reading the verification...", .by = DOER_VERIFY, ALL, OWN, MOVES),
    ROW("bundle", 30, 31, "Taking the source's machine identity to the destination...",
        DOES(ON_BOTH, "bundle", 60, "both computers to change places"),
        .when = IN_TRANSPLANT | IN_DOMAIN | IN_WORKGROUP,
        .otherwise = "rejoin takes no secrets along", UNDO, OWN, SWAP),
    ROW("source.leave", 30, 39, "Removing the source computer from the domain...",
        DOES(ON_SOURCE, "leave", 60, "the domain controller"), .when = IN_REJOIN | IN_DOMAIN,
        .otherwise = "its account moves to the destination as it is", UNDO, SWAP),
    ROW("source.collect", 31, 26, "Collecting the source computer IP addresses.",
        DOES(ON_SOURCE, "collect", 30, "the source's agent"), ALL),
    ROW("source.restart.1", 33, 33, "Restarting the source computer... (1st restart)",
        NEVER(NO_REBOOT)),
    ROW("source.wait.1", 36, 36,
        "Waiting for the source computer to respond after the 1st restart...", NEVER(NO_REBOOT)),
    ROW("source.addresses", 38, 38, "Mapping network interfaces on the source computer...",
        DOES(ON_SOURCE, "addresses", 90, "both computers to change places"), ALL, UNDO, SWAP),
    ROW("source.names", 41, 70, "Renaming the source computer...",
        DOES(ON_SOURCE, "names", 30, "the source to take its new name"), ALL, UNDO),
    ROW("source.restart.2", 42, 71, "Restarting the source computer... (1st restart)",
        NEVER(NO_REBOOT)),
    ROW("source.restart.3", 43, 71, "Restarting the source computer... (2nd restart)",
        NEVER(ONLY_2003)),
    ROW("source.wait.2", 43, 71,
        "Waiting for the source computer to respond after the 1st restart...", NEVER(NO_REBOOT)),
    ROW("source.wait.3", 43, 71,
        "Waiting for the source computer to respond after the 2nd restart...", NEVER(ONLY_2003)),
    ROW("source.join", 44, 85, "Adding the source computer to the domain...",
        DOES(ON_SOURCE, "join", 90, "the domain controller"),
        .when = IN_DOMAIN | IN_TRANSPLANT | IN_REJOIN, .otherwise = "the servers are in no domain",
        UNDO),
    ROW("source.restart.4", 47, 86, "Restarting the source computer... (1st restart)",
        NEVER(NO_REBOOT)),
    ROW("source.restart.5", 50, 86, "Restarting the source computer... (2nd restart)",
        NEVER(NO_REBOOT)),
    ROW("source.restart.6", 51, 86, "Restarting the source computer... (3rd restart)",
        NEVER(ONLY_2003)),
    ROW("source.wait.4", 52, 86, "Waiting for the source computer to respond...", NEVER(NO_REBOOT)),
    ROW("source.wait.5", 52, 86,
        "Waiting for the source computer to respond after the 1st restart...", NEVER(NO_REBOOT)),
    ROW("source.wait.6", 55, 86,
        "Waiting for the source computer to respond after the 2nd restart...", NEVER(NO_REBOOT)),
    ROW("source.wait.7", 56, 86,
        "Waiting for the source computer to respond after the 3rd restart...", NEVER(ONLY_2003)),
    ROW("source.lockout", 57, 90, "Removing alternate computer names on the source...",
        DOES(ON_SOURCE, "lockout", 30, "the source to refuse users"), ALL, UNDO),
    ROW("source.account.end", 58, 90,
        "Removing a temporary local account we created on the source computer...",
        NEVER("none was made")),
    ROW("source.unguard", 61, 82,
        "Resetting the local account token filter policy on the source computer...",
        DOES(ON_SOURCE, "unguard", 30, "the source to put its dead-man timer away"), ALL),
    ROW("destination.leave", 63, 26, "Removing the destination computer from the domain...",
        DOES(ON_DESTINATION, "leave", 60, "the domain controller"), .when = IN_REJOIN | IN_DOMAIN,
        .otherwise = "its own account, if it has one, stays until commit", UNDO),
    ROW("destination.restart.1", 66, 31, "Restarting the destination computer... (1st restart)",
        NEVER(NO_REBOOT)),
    ROW("destination.wait.1", 69, 31,
        "Waiting for the destination computer to respond after the 1st restart...",
        NEVER(NO_REBOOT)),
    ROW("destination.addresses", 72, 50, "Mapping network interfaces on destination computer...",
        DOES(ON_DESTINATION, "addresses", 60, "the source's addresses to be free"), ALL, UNDO, SWAP,
        /* A name that answers, if only that nobody serves yet, is tried again at once. */
        .rejoin = 42),
    ROW("destination.names", 75, 40, "Renaming the destination computer...",
        DOES(ON_DESTINATION, "names", 30, "the destination to take its new name"), ALL, UNDO, SWAP),
    ROW("destination.join", 77, 45, "Adding the destination computer to the domain...",
        DOES(ON_DESTINATION, "join", 60, "the machine identity to be in place"), ALL, UNDO, SWAP),
    ROW("destination.start", 80, 65, "Restarting the destination computer... (1st restart)",
        DOES(ON_DESTINATION, "start", 60, "Samba to answer on the destination"), ALL, UNDO, SWAP),
    ROW("destination.restart.2", 83, 66, "Restarting the destination computer... (2nd restart)",
        NEVER(NO_REBOOT)),
    ROW("destination.wait.2", 84, 66, "Waiting for the destination computer to respond...",
        NEVER("its services answered before the stage before this one ended")),
    ROW("destination.wait.3", 86, 66,
        "Waiting for the destination computer to respond after the 1st restart...",
        NEVER(NO_REBOOT)),
    ROW("destination.wait.4", 88, 66,
        "Waiting for the destination computer to respond after the 2nd restart...",
        NEVER(NO_REBOOT)),
    ROW("destination.dns", 90, 66, "Letting the names stand for the destination in DNS...",
        DOES(ON_DESTINATION, "dns", 60, "the domain's name server"),
        .when = IN_TRANSPLANT | IN_REJOIN | IN_DOMAIN, .otherwise = "the servers are in no domain",
        UNDO, OWN),
    ROW("users", 91, 75, "Waiting for the destination computer to respond with the new name...",
        DOES(ON_SOURCE, "users", 60, "users to be served under the old name"), ALL),
    ROW("source.dns", 92, 88, "Letting the source's new name stand for it in DNS...",
        DOES(ON_SOURCE, "dns", 60, "the domain's name server"),
        .when = IN_TRANSPLANT | IN_REJOIN | IN_DOMAIN, .otherwise = "the servers are in no domain",
        UNDO, OWN),
    ROW("witness.users", 91, 76, "Trying the destination as a user from a third computer...",
        DOES(ON_WITNESS, "users", 120, "the third computer's agent"), ALL, OWN),
    ROW("destination.tidy", 93, 93, "Removing alternate computer names on the destination...",
        DOES(ON_DESTINATION, "tidy", 30, "the destination's former names to be gone"), ALL, UNDO),
    ROW("destination.account.end", 94, 94,
        "Removing a temporary local account we created on the destination computer...",
        NEVER("none was made")),
    ROW("destination.unguard", 97, 80,
        "Resetting the local account token filter policy on the destination computer...",
        DOES(ON_DESTINATION, "unguard", 30, "the destination to put its dead-man timer away"), ALL),
    ROW("after", 98, 98, "Asking both computers what they are now...",
        DOES(ON_BOTH, "collect", 60, "both agents"), ALL, OWN),
    ROW("destination.commit", 99, 99, "Making the destination's identity its own for good...",
        DOES(ON_DESTINATION, "commit", 120, "the machine password to be changed"), ALL, OWN,
        .commit = true),
    ROW("source.commit", 99, 99, "Destroying the secrets that the source still has...",
        DOES(ON_SOURCE, "commit", 120, "the source to destroy its secrets"), ALL, OWN,
        .commit = true),
    ROW("succeeded", 100, 100, "Succeeded", NEVER("nothing is to be done for it")),
};

static const char *const methods[METHODS] = {"transplant", "rejoin"};

const char *cutover_why_not(const struct cutover_row *r, enum cutover_method m, bool domain)
{
    unsigned way = m == METHOD_TRANSPLANT ? IN_TRANSPLANT : IN_REJOIN;
    unsigned kind = domain ? IN_DOMAIN : IN_WORKGROUP;
    if (r->by == DOER_NOBODY || !(r->when & way) || !(r->when & kind))
        return r->otherwise;
    return NULL;
}

unsigned cutover_percent(const struct cutover_row *r, enum cutover_method m)
{
    return m == METHOD_REJOIN && r->rejoin ? r->rejoin : r->percent;
}

/* By percentage; those with the same one as the table has them. */
void cutover_order(enum cutover_method m, unsigned ret[CUTOVER_ROWS])
{
    for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
        unsigned at = i;
        while (at > 0 && cutover_percent(&cutover_rows[ret[at - 1]], m) >
                             cutover_percent(&cutover_rows[i], m)) {
            ret[at] = ret[at - 1];
            at--;
        }
        ret[at] = i;
    }
}

const char *cutover_method_name(enum cutover_method m)
{
    return methods[m];
}

int cutover_method_parse(const char *name)
{
    for (int i = 0; i < METHODS; i++)
        if (strcmp(methods[i], name) == 0)
            return i;
    return -EINVAL;
}

unsigned cutover_find(const char *id)
{
    unsigned i = 0;
    while (i < CUTOVER_ROWS && strcmp(cutover_rows[i].id, id) != 0)
        i++;
    return i;
}
