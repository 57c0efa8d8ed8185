// SPDX-License-Identifier: MIT
// The sides of round trips that never sleep.
#include "bench/programs/bench_peer/awake.h"

#include "runtime/system_call.h"

#include <memory>

namespace annulus::bench {

void serve_awake(abi::Handle table) {
    uint64_t answered = 0;
    for (;;) {
        // A deadline that is over: the kernel looks, and does not wait.
        const auto request = system::reply_and_wait(table, answered, {}, 0);
        answered = request.status.ok() ? request.request : 0;
    }
}

void answer_events_awake(abi::Handle set, abi::Handle yours) {
    for (;;) {
        if (system::wait(set, 0, 0).status.ok()) system::signal(yours);
    }
}

Result<void> return_messages_awake(Channel end) {
    auto messages = TRY(MessageChannel::attach(end));
    for (;;) {
        channel::Message message;
        receive_awake(messages, message);
        send_awake(messages, message);
    }
}

Result<void> answer_messages_awake(Channel end, uint64_t size) {
    auto bytes = TRY(ByteChannel::attach(end));
    const std::unique_ptr<std::byte[]> message(new std::byte[size]());
    for (;;) {
        read_awake(bytes, {message.get(), size});
        write_awake(bytes, {message.get(), 1});
    }
}

}  // namespace annulus::bench
