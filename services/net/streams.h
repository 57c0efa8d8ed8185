// SPDX-License-Identifier: MIT
// The channels of clients that connections have: mapped, and their bells members of the set.
#pragma once

#include <array>
#include <memory>

#include "abi/net.h"
#include "runtime/channel_end.h"
#include "services/net/stack/client_stream.h"

namespace annulus::net {

class Streams {
public:
    static constexpr unsigned most = abi::net_streams_max;

    // Bells come as events of `set` with the keys [first_key, first_key + most).
    Streams(SetReference set, uint64_t first_key) : set_(set), first_key_(first_key) {}
    Streams(const Streams&) = delete;
    Streams& operator=(const Streams&) = delete;

    // Maps the channel that `end` is of. On success the handle is moved out of it. wrong_version,
    // limit, no_budget. The stream must not outlive this.
    Result<std::unique_ptr<ClientStream>> attach(Channel& end);

    // The event `key` has come. False: it is none of a stream.
    bool event(uint64_t key);

private:
    class Stream;

    SetReference set_;
    uint64_t first_key_;
    std::array<Stream*, most> places_{};
};

}  // namespace annulus::net
