// SPDX-License-Identifier: MIT
// A file behind a handle, by synchronous calls.
//
//   const auto file = TRY(files.open<File>("note", abi::open_write | abi::open_create));
//   TRY(file.write_at(0, bytes));
//
// A File is a Stream, too: read and write go on at the position of this opened object.
#pragma once

#include "abi/file.h"
#include "runtime/directory.h"
#include "runtime/stream.h"

namespace annulus {

struct FileState {
    abi::EntryKind kind = abi::EntryKind::file;
    uint64_t size = 0;  // of a file in bytes, of a directory in entries
    uint64_t position = 0;
    uint64_t id = 0;
};

// Where the bytes of a file lie in memory that can be mapped or copied.
struct FileMemory {
    Memory memory;
    uint64_t offset = 0;  // of the byte that was asked for
};

// Names a served object that knows abi/file.h. Does not own the handle.
class File : public Stream {
public:
    using Reference = File;
    using Stream::Stream;

    // Fills `bytes` from `offset` on, in as many requests as it takes. Less only at the file's end.
    Result<size_t> read_at(uint64_t offset, std::span<std::byte> bytes,
                           Deadline deadline = Deadline::never()) const;

    // Writes all of `bytes`, in as many requests as it takes. After an error some may be written.
    Result<void> write_at(uint64_t offset, std::span<const std::byte> bytes,
                          Deadline deadline = Deadline::never()) const;

    Result<FileState> state(Deadline deadline = Deadline::never()) const;
    Result<void> resize(uint64_t size, Deadline deadline = Deadline::never()) const;
    Result<void> set_position(uint64_t position, Deadline deadline = Deadline::never()) const;

    // not_supported: this server or this file cannot; read it instead.
    Result<FileMemory> map(uint64_t offset, uint64_t length,
                           Deadline deadline = Deadline::never()) const;
};

}  // namespace annulus
