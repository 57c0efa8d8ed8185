// SPDX-License-Identifier: MIT
// What lwIP wants to know about compiler and platform; also read by its C sources.
//
// lwIP is configured through macros, so this file and lwipopts.h are the two that define some.
#pragma once

#define LWIP_NO_CTYPE_H 1
#define LWIP_NO_INTTYPES_H 1

// Formats of messages that are never printed.
#define X8_F "x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "u"

#ifdef __cplusplus
extern "C" {
#else
int atoi(const char* text);  // netif_find() calls it, and nobody calls that
#endif

// Defined in services/net/lwip/port.cpp. The first does not return.
void annulus_lwip_failed(const char* what);
unsigned annulus_lwip_random(void);

// The 16-bit ones' complement sum of `count` bytes, in the byte order of memory; checksum.cpp.
unsigned short annulus_lwip_sum(const void* bytes, int count);

#ifdef __cplusplus
}
#endif

#define LWIP_PLATFORM_DIAG(text) ((void)0)
#define LWIP_PLATFORM_ASSERT(text) annulus_lwip_failed(text)
#define LWIP_RAND() annulus_lwip_random()
#define LWIP_CHKSUM annulus_lwip_sum
#define lwip_htons(value) __builtin_bswap16(value)
#define lwip_htonl(value) __builtin_bswap32(value)
