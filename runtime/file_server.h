// SPDX-License-Identifier: MIT
// Serving files: turns the requests of abi/file.h into calls of virtual functions, and checks all
// that is the same for every file system: operands, flags, rights, paths.
//
// An opened object is one ServedFile, with its own position. Its record is paid by the process that
// opened it. It deletes itself when the last handle to it is closed.
#pragma once

#include "runtime/file.h"
#include "runtime/server.h"

#include <memory>

namespace annulus {

class ServedFile : public ServedByThis {
public:
    virtual ~ServedFile() = default;

    Answer handle(Request& request) final;
    void closed() final { delete this; }

protected:
    // Two opened objects of one server.
    explicit ServedFile(const Server& server) : server_(server) {}

    // Whoever asks: Request::client(), the same for all that one budget opened.
    using Client = uint64_t;

    // Of an object of any kind. `path` is sound and lies in this server; `flags` are known, fit
    // each other, and ask no more than the client's handle allows.
    virtual Result<FileState> state() = 0;
    // open is done in two steps, because who opens is known only when the object's record is paid:
    // a new object, of the same class, with nothing opened (null: no memory), ...
    virtual std::unique_ptr<ServedFile> make_unopened() const = 0;
    // ... which is then opened on what `path` leads to from here, for `client`. After an error
    // nothing but its destructor is called.
    virtual Result<void> open(ServedFile& target, std::string_view path, uint64_t flags,
                              Client client) = 0;
    virtual Result<void> sync() { return {}; }

    // Of files. Offsets and sizes are at most abi::file_size_max.
    virtual Result<size_t> read(uint64_t offset, std::span<std::byte> space) = 0;
    virtual Result<size_t> write(uint64_t offset, std::span<const std::byte> bytes, Client client);
    virtual Result<void> resize(uint64_t size, Client client);
    // At least `length` bytes, more than 0, from `offset` on. The client gets the handle as it is.
    virtual Result<FileMemory> map(uint64_t offset, uint64_t length);

    // Of directories. `list` answers the next cursor, 0 after the last entry; paths are not empty.
    virtual Result<uint64_t> list(uint64_t cursor, RecordWriter& records) = 0;
    virtual Result<void> create_directory(std::string_view path, Client client);
    virtual Result<void> remove(std::string_view path);
    virtual Result<void> rename(std::string_view from, std::string_view to, bool replace);

    const Server& server() const { return server_; }

private:
    Answer answer_get(const Request& request);
    Answer answer_open(Request& request);
    Answer answer_read(Request& request);
    Answer answer_write(const Request& request);
    Answer answer_set(const Request& request);
    Answer answer_map(const Request& request);
    Answer answer_list(const Request& request);
    Answer answer_path(const Request& request);
    Answer answer_rename(const Request& request);

    const Server& server_;
    uint64_t position_ = 0;
};

// Hands `object` over to its handles: it lives until they are closed.
Result<Served> serve_file(const Server& server, std::unique_ptr<ServedFile> object,
                          abi::Rights rights, uint64_t payer = 0);

}  // namespace annulus
