/* mb: made once, by whoever asks first. */
#include "agent/lane/mb.h"

#ifdef GODWIT_IPSEC_MB
#include <pthread.h>

/* It only holds the functions that fit the processor; they keep nothing in it. */
static IMB_MGR *manager;

static void manager_make(void)
{
    IMB_ARCH arch = IMB_ARCH_NONE;
    IMB_MGR *m = alloc_mb_mgr(0);
    if (!m)
        return;
    init_mb_mgr_auto(m, &arch);
    if (imb_get_errno(m) == 0 && (arch == IMB_ARCH_AVX2 || arch == IMB_ARCH_AVX512))
        manager = m;
    else
        free_mb_mgr(m);
}

IMB_MGR *mb_manager(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, manager_make);
    return manager;
}
#else
typedef int mb_is_not_here; /* ISO C wants something in each file */
#endif
