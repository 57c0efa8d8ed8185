// SPDX-License-Identifier: MIT
// The file protocol: what a served file, or a directory of files, answers.
//
// Each opened object has a position of its own, 0 at first, at which a file answers the stream's
// read 0 and write 0 (abi/stream.h): whoever knows only streams can use a file.
//
// Files and directories:
// get 0      in: nothing                        out: words of FileWord
// sync 0     in: nothing                        out: nothing; what was written survives
// open 0     abi/directory.h
//
// Files:
// read 1     in: word 0 offset; room for bytes  out: bytes; none: the file ends at or before offset
// write 1    in: word 0 offset; bytes           out: word 0 bytes taken, at least 1 unless none
// set 0      in: word 0 size                    out: nothing; the file is cut, or grows by zeros
// set 1      in: word 0 position                out: nothing
// map 0      in: word 0 offset, word 1 length   out: word 0 a memory handle (moved), word 1 where
// in
//                                                    it the byte at `offset` lies
//
// Directories:
// list 0     abi/directory.h
// create 0   in: bytes: path                    out: nothing; there is a new, empty directory
// remove 0   in: bytes: path                    out: nothing; of a file or an empty directory
// rename 0   in: word 0 bytes of the old path, word 1 rename flags; bytes: old path, new path
//            out: nothing
//
// Counts may be shorter than asked. Paths of create, remove and rename stay in one server. A file
// that is removed while it is open lives on without a name until it is closed. A name that is there
// during a whole list is in it once; one that comes, goes or is renamed meanwhile may be or not.
//
// Through a channel: an `open` that brings an end of one with a request queue
// (channel/request_queue.h) leads to a file whose bytes also move by requests in it, with the
// rights of the handle and as long as that is open. `operation` is a FileRequest; flags and word
// are 0.
//   read       place: offset; length: room        answer: bytes in the buffer, counted
//   write      place: offset; length: bytes       answer: how many were taken
//   sync       place and length 0                 answer: what was answered before it survives
// `status` is a Status, as a call would answer it. Requests are done in their order.
//
// Errors, beside those of every operation:
//   not_found     a component is not there
//   exists        exclusive, or the new name of create and rename: it is there
//   wrong_type    a component on the way, or what must be a directory, is none; or a directory
//                 where a file is needed
//   wrong_state   remove and rename: the directory is not empty; any name in a directory that was
//                 itself removed
//   bad_argument  detail 0-5: this word; detail operand_bytes: the path is malformed, or the new
//                 path lies below the old one
//   out_of_range  an offset or size beyond file_size_max; map: beyond the file's end
//   no_right      what the flags of open ask is more than the client's handle allows
//   no_budget     the file system has no room left; detail pages
//   limit         the client's share of the file system is used up (extra 0); or more bytes than a
//                 block (extra: its size); open: the server, or half of it this client, has as many
//                 channels, or pages of them, as it may
//   wrong_version open: the channel holds no request queue; wrong_type: it is no channel
//   not_supported a flag is unknown; the server cannot do this (map) or takes no channel
#pragma once

#include "abi/directory.h"
#include "abi/limits.h"
#include "abi/stream.h"

#include <stdint.h>

namespace annulus::abi {

inline constexpr uint32_t file_version = protocol_version(1, 1);

inline constexpr uint16_t file_get_state = 0;
inline constexpr uint16_t file_read_at = 1;
inline constexpr uint16_t file_write_at = 1;
inline constexpr uint16_t file_set_size = 0;
inline constexpr uint16_t file_set_position = 1;
inline constexpr uint16_t file_map = 0;
inline constexpr uint16_t file_create_directory = 0;
inline constexpr uint16_t file_remove = 0;
inline constexpr uint16_t file_rename = 0;

inline constexpr uint64_t rename_replace = 1;  // a file, or an empty directory by a directory

// The detail of bad_argument when the bytes are meant.
inline constexpr uint16_t operand_bytes = message_words;

// Words that get 0 answers.
namespace file_word {
inline constexpr unsigned kind = 0;      // an EntryKind
inline constexpr unsigned size = 1;      // of a file in bytes, of a directory in entries
inline constexpr unsigned position = 2;  // of this opened object
inline constexpr unsigned id = 3;        // the same for all objects opened on one file
}  // namespace file_word

// What a request in a channel asks for.
enum class FileRequest : uint32_t { read = 0, write = 1, sync = 2 };

// Channels of one server. A client has half of them at most, and half of the pages that the server
// can reserve for them.
inline constexpr unsigned file_channels_max = 64;

// No offset or size is larger, so that adding two never overflows.
inline constexpr uint64_t file_size_max = uint64_t{1} << 62;

}  // namespace annulus::abi
