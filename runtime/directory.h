// SPDX-License-Identifier: MIT
// A directory of names behind a handle, by synchronous calls: publishing, opening, listing, and
// what a directory of files does with them.
//
//   const Directory files = TRY(environment.handle<Directory>("files"));
//   const auto note = TRY(files.open<File>("notes/today", abi::open_read));
//   DirectoryReader reader(files);
//   while (TRY(reader.next())) log("{}", reader.entry().name);
#pragma once

#include "abi/directory.h"
#include "base/result.h"
#include "generated/objects.h"
#include "runtime/deadline.h"
#include "runtime/directory_records.h"

#include <array>
#include <string_view>

namespace annulus {

namespace names {
inline constexpr std::string_view exports = "exports";  // where a program publishes what it serves
}  // namespace names

// Opens `path` at `object` with abi::open_... flags, and goes on at the objects that it leads
// through, at most abi::open_hops_max. Errors: abi/file.h; too_deep: more hops; faulted: a server
// broke the protocol.
Result<Object> open(ObjectReference object, std::string_view path, uint64_t flags,
                    Deadline deadline = Deadline::never());
// The same with a handle (a channel's end) that moves to the server that opens; after an error as
// settle_moved() says: servers give back what they refuse.
Result<Object> open(ObjectReference object, std::string_view path, uint64_t flags,
                    Deadline deadline, Object& moved);
// For who does not want it back.
inline Result<Object> open(ObjectReference object, std::string_view path, uint64_t flags,
                           Deadline deadline, Object&& moved) {
    Object given = std::move(moved);
    return open(object, path, flags, deadline, given);
}

// Names a served object that knows abi/directory.h, and for the last three abi/file.h. Does not own
// the handle.
class Directory : public ServedReference {
public:
    using Reference = Directory;
    using ServedReference::ServedReference;

    // Publishes `object`, which moves; after an error it is as settle_moved() says. not_granted:
    // this name is not the program's to publish; exists.
    template <typename ObjectKind>
    Result<void> publish(std::string_view name, Owned<ObjectKind>&& object) const {
        const auto answer = publish_handle(name, object.value());
        settle_moved(answer, 0, object);
        return answer.status;
    }

    // What `path` leads to: open<File>, open<Directory>, open<Stream>. The protocol is not asked.
    template <typename Reference>
    Result<Owned<Reference>> open(std::string_view path, uint64_t flags,
                                  Deadline deadline = Deadline::never()) const {
        Object opened = TRY(annulus::open(*this, path, flags, deadline));
        return Owned<Reference>(opened.release());
    }

    Result<void> create_directory(std::string_view path,
                                  Deadline deadline = Deadline::never()) const;
    Result<void> remove(std::string_view path, Deadline deadline = Deadline::never()) const;
    // Flags: abi::rename_replace. Both paths are below this directory.
    Result<void> rename(std::string_view from, std::string_view to, uint64_t flags = 0,
                        Deadline deadline = Deadline::never()) const;

private:
    system::CallAnswer publish_handle(std::string_view name, abi::Handle object) const;
};

// Goes through a directory's names, in as many requests as it takes.
class DirectoryReader {
public:
    explicit DirectoryReader(Directory directory, Deadline deadline = Deadline::never())
        : directory_(directory), deadline_(deadline) {}
    DirectoryReader(const DirectoryReader&) = delete;
    DirectoryReader& operator=(const DirectoryReader&) = delete;

    // Moves on; false: there are no more. faulted: the server broke the protocol.
    Result<bool> next();

    // Valid until the next call of next().
    const DirectoryEntry& entry() const { return entry_; }

private:
    Result<bool> refill();

    Directory directory_;
    Deadline deadline_;
    uint64_t cursor_ = 0;
    bool asked_ = false;
    DirectoryEntry entry_;
    std::span<const std::byte> rest_;
    std::array<std::byte, 2048> buffer_;
};

}  // namespace annulus
