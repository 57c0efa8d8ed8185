// SPDX-License-Identifier: MIT
// The channels through which clients reach the files of a server (abi/file.h).
//
// A file server makes one FileChannels, hands it to its ServedFiles, and runs with it:
//
//     const auto channels = TRY(FileChannels::create(server, budget));
//     ... ServedFile(server, channels.get()) ...
//     return server.run(*channels);
//
// Requests of channels and those of the table take turns: a channel has some of its requests done,
// then the others and the table have theirs.
#pragma once

#include "abi/file.h"
#include "runtime/channel.h"
#include "runtime/semaphore_set.h"
#include "runtime/server.h"

#include <array>
#include <memory>

namespace annulus {

class ServedFile;

class FileChannels final : public BesideRequests {
public:
    class Attached;

    // Its set is bound to the server's table. What `budget` has of reserved pages by now is what
    // channels may take. no_budget, no_memory; busy: there is a set already.
    static Result<std::unique_ptr<FileChannels>> create(const Server& server,
                                                        BudgetReference budget);
    FileChannels(const FileChannels&) = delete;
    FileChannels& operator=(const FileChannels&) = delete;
    ~FileChannels() = default;  // nothing is attached

    // Whether a file may be reached through the channel: wrong_version, limit.
    Result<void> check(ChannelReference end, uint64_t client) const;

    // Maps the channel; its requests are for `file`, as far as `rights` go. On success the handle
    // is moved out of `end`. Ends with what is answered, which must not outlive this or the file.
    // Errors of check; no_budget, no_memory.
    Result<std::unique_ptr<Attached>> attach(Channel& end, ServedFile& file, abi::Rights rights,
                                             uint64_t client);

    Deadline turn() override;
    void event(uint64_t key, bool closed) override;

private:
    static constexpr unsigned most = abi::file_channels_max;

    FileChannels(SemaphoreSet set, uint64_t pages) : set_(std::move(set)), pages_max_(pages) {}

    void serve(Attached& attached);
    void put_in_line(Attached& attached);

    SemaphoreSet set_;
    const uint64_t pages_max_;
    std::array<Attached*, most> places_{};
    // Places with more to do, in order; a ring. Each is in it once, also after its channel has
    // gone and another has come.
    std::array<uint8_t, most> line_{};
    std::array<bool, most> in_line_{};
    unsigned first_ = 0;
    unsigned waiting_ = 0;
};

// A channel of a client.
class FileChannels::Attached {
public:
    Attached(const Attached&) = delete;
    Attached& operator=(const Attached&) = delete;
    ~Attached();

private:
    friend class FileChannels;
    Attached(FileChannels& all, unsigned place, AnswerChannel channel, ServedFile& file,
             abi::Rights rights, uint64_t client);

    // True: there may be more to do. False: nothing is, until it rings. An error: the channel has
    // ended.
    Result<bool> work();

    FileChannels& all_;
    const unsigned place_;
    AnswerChannel channel_;
    ServedFile& file_;
    const abi::Rights rights_;
    const uint64_t client_;
};

}  // namespace annulus
