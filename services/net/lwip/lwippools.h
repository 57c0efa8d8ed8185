// SPDX-License-Identifier: MIT
// lwIP's heap as pools of two sizes: short headers, and whole frames. Read several times by lwIP's
// memp_std.h, so it has no guard.
LWIP_MALLOC_MEMPOOL_START
LWIP_MALLOC_MEMPOOL(1024, 256)
LWIP_MALLOC_MEMPOOL(4608, 1664)
LWIP_MALLOC_MEMPOOL_END
