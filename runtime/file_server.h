// SPDX-License-Identifier: MIT
// Serving files: turns the requests of abi/file.h into calls of virtual functions, and checks all
// that is the same for every file system: operands, flags, rights, paths.
//
// An opened object is one ServedFile, with its own position. Its record is paid by the process that
// opened it. It deletes itself when the last handle to it is closed.
#pragma once

#include "runtime/file.h"
#include "runtime/file_channels.h"
#include "runtime/server.h"

#include <memory>

namespace annulus {

class ServedFile : public ServedByThis {
public:
    virtual ~ServedFile() = default;

    Answer handle(Request& request) final;
    void closed() final { delete this; }

protected:
    // `channels`: null if files are not to be reached through channels; the same for all of a
    // server.
    explicit ServedFile(const Server& server, FileChannels* channels = nullptr)
        : server_(server), channels_(channels) {}

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

    // Of files. Offsets and sizes are at most abi::file_size_max. The client may change the bytes
    // meanwhile.
    virtual Result<size_t> read(uint64_t offset, UntrustedBytes space) = 0;
    virtual Result<size_t> write(uint64_t offset, UntrustedBytes bytes, Client client);
    virtual Result<void> resize(uint64_t size, Client client);
    // At least `length` bytes, more than 0, from `offset` on. The client gets the handle as it is.
    virtual Result<FileMemory> map(uint64_t offset, uint64_t length);

    // Of directories. `list` answers the next cursor, 0 after the last entry; paths are not empty.
    virtual Result<uint64_t> list(uint64_t cursor, RecordWriter& records) = 0;
    virtual Result<void> create_directory(std::string_view path, Client client);
    virtual Result<void> remove(std::string_view path);
    virtual Result<void> rename(std::string_view from, std::string_view to, bool replace);

    const Server& server() const { return server_; }
    FileChannels* channels() const { return channels_; }

private:
    friend class FileChannels;

    Answer answer_get(const Request& request);
    Answer answer_open(Request& request);
    Answer answer_read(Request& request);
    Answer answer_write(const Request& request);
    Answer answer_set(const Request& request);
    Answer answer_map(const Request& request);
    Answer answer_list(const Request& request);
    Answer answer_path(const Request& request);
    Answer answer_rename(const Request& request);

    Result<void> open_through(Request& request, ServedFile& target, abi::Rights rights,
                              Client client);
    channel::QueuedAnswer answer_queued(const channel::QueuedRequest& request,
                                        UntrustedBytes buffer, abi::Rights rights, Client client);
    Result<size_t> do_queued(const channel::QueuedRequest& request, UntrustedBytes buffer,
                             abi::Rights rights, Client client);

    const Server& server_;
    FileChannels* const channels_;
    uint64_t position_ = 0;
    std::unique_ptr<FileChannels::Attached> channel_;  // null: none, or it has ended
};

// Hands `object` over to its handles: it lives until they are closed.
Result<Served> serve_file(const Server& server, std::unique_ptr<ServedFile> object,
                          abi::Rights rights, uint64_t payer = 0);

}  // namespace annulus
