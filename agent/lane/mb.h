/* mb: the intel-ipsec-mb library's functions for this processor. Any thread. */
#pragma once

#ifdef GODWIT_IPSEC_MB
#include <intel-ipsec-mb.h>

/* Lives as long as the process, and may be used by all threads at once: only its functions that
 * take a key and a context of the caller's are. NULL: the processor has no vectors to speak of. */
IMB_MGR *mb_manager(void);
#endif
