// SPDX-License-Identifier: MIT
// The other side of a round trip, which looks for work all the time instead of sleeping. It has a
// CPU of its own, and is killed at the end.
#pragma once

#include "runtime/channel.h"

namespace annulus::bench {

// Answers every request at once.
[[noreturn]] void serve_awake(abi::Handle table);

// Gives a unit of `yours` for each event of the set.
[[noreturn]] void answer_events_awake(abi::Handle set, abi::Handle yours);

// Takes each message, and sends it back.
Result<void> return_messages_awake(Channel end);

// Reads messages of `size` bytes into memory of its own, and answers each with a byte.
Result<void> answer_messages_awake(Channel end, uint64_t size);

// Writes all of `bytes`; reads until `bytes` is full. Neither sleeps.
inline void write_awake(ByteChannel& channel, std::span<const std::byte> bytes) {
    while (!bytes.empty()) bytes = bytes.subspan(channel.writer().write(bytes));
}
inline void read_awake(ByteChannel& channel, std::span<std::byte> bytes) {
    while (!bytes.empty()) bytes = bytes.subspan(channel.reader().read(bytes));
}

// One message there or here.
inline void send_awake(MessageChannel& channel, const channel::Message& message) {
    while (!channel.sender().send(message)) {
    }
    channel.sender().publish();
}
inline void receive_awake(MessageChannel& channel, channel::Message& message) {
    while (!channel.receiver().receive(message)) {
    }
    channel.receiver().publish();
}

}  // namespace annulus::bench
