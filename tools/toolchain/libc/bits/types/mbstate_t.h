// SPDX-License-Identifier: MIT
// The conversion state that libc++'s character traits name; nothing here converts characters.
#pragma once

typedef struct {
    unsigned state;
} mbstate_t;
