// SPDX-License-Identifier: MIT
// The directory protocol: what a served object of names answers.
//
// share 0   in: word 0 a handle, which moves; bytes: the name     out: nothing
// open 0    in: word 0 open flags, word 1 a handle that moves with the request (a channel's end)
//               or 0; bytes: the path
//           out: word 0 the opened object's handle (moved), word 1 bytes of the path that were
//                consumed; if those are not all, word 2 is the handle that came as word 1
// list 0    in: word 0 cursor, 0 at first; room for bytes
//           out: word 0 the next cursor, 0 when that was all; bytes: records
//
// A path is components separated by '/', each 1..255 bytes without NUL; none is "." or "..", none
// is empty. The empty path is the object itself, opened once more. Where a path leads to another
// server the answer is that server's object, and the client goes on there with the rest, at most
// open_hops_max times.
//
// Errors of share: not_granted (the client may not publish this name), exists (it is published),
// bad_argument (word 0 is no handle that moves), wrong_state (closed for this client).
// Errors of open: abi/file.h.
#pragma once

#include "abi/protocol.h"
#include "abi/verb.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t directory_version = protocol_version(1, 0);

inline constexpr uint16_t directory_share = 0;
inline constexpr uint16_t directory_open = 0;
inline constexpr uint16_t directory_list = 0;

inline constexpr unsigned open_hops_max = 16;    // objects on the way of one path
inline constexpr unsigned name_bytes_max = 255;  // of one component

// Flags of open. A file service gives the opened object the rights of open_rights, as far as the
// client's handle has them; other servers say themselves which flags they know.
inline constexpr uint64_t open_read = 1;
inline constexpr uint64_t open_write = 2;
inline constexpr uint64_t open_create = 4;      // make a file if the last name is not there
inline constexpr uint64_t open_exclusive = 8;   // with create: it must not be there
inline constexpr uint64_t open_truncate = 16;   // to no bytes; needs write
inline constexpr uint64_t open_directory = 32;  // it must be a directory; with create, make one
inline constexpr uint64_t open_flags_all = 63;

constexpr Rights open_rights(uint64_t flags) {
    Rights rights =
        right_of(Verb::open) | right_of(Verb::get) | right_of(Verb::sync) | right_of(Verb::watch);
    if ((flags & open_read) != 0) {
        rights |= right_of(Verb::read) | right_of(Verb::list) | right_of(Verb::map);
    }
    if ((flags & open_write) != 0) {
        rights |= right_of(Verb::write) | right_of(Verb::set) | right_of(Verb::create) |
                  right_of(Verb::remove) | right_of(Verb::rename);
    }
    return rights;
}

enum class EntryKind : uint32_t {
    file = 1,
    directory = 2,
    object = 3,  // of another protocol
};

// One record of a list. Its name follows, then zeros up to the next multiple of 8 bytes, which
// record_bytes counts. A list's room must take the longest record.
struct DirectoryRecord {
    uint64_t size;  // of a file in bytes, of a directory in entries
    EntryKind kind;
    uint16_t record_bytes;
    uint16_t name_bytes;
};
static_assert(sizeof(DirectoryRecord) == 16);
inline constexpr unsigned directory_record_max = sizeof(DirectoryRecord) + 256;

}  // namespace annulus::abi
