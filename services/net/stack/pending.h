// SPDX-License-Identifier: MIT
// Requests of one object that wait for their answer, in the order of their arrival. Policy-free.
#pragma once

#include <algorithm>

#include "services/net/stack/node.h"

namespace annulus::net {

struct PendingCall {
    uint64_t id = 0;
    std::span<const std::byte> bytes;
    std::span<std::byte> space;
    uint64_t deadline = abi::deadline_never;
    uint64_t word = 0;  // what the object wants to remember
    std::unique_ptr<ClientStream> stream;
};

template <size_t most>
class PendingCalls {
public:
    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] bool full() const { return count_ == most; }
    [[nodiscard]] PendingCall& first() { return calls_[first_]; }

    // Room was checked with full().
    void add(const Call& call, uint64_t word = 0, std::unique_ptr<ClientStream> stream = nullptr) {
        at(count_++) = {call.id, call.bytes, call.space, call.deadline, word, std::move(stream)};
    }
    void remove_first() { static_cast<void>(take_first()); }
    PendingCall take_first() {
        PendingCall taken = std::move(calls_[first_]);
        first_ = (first_ + 1) % most;
        count_--;
        return taken;
    }

    // Answers all with `outcome`.
    void answer_all(Answers& answers, const Outcome& outcome) {
        while (!empty()) {
            const uint64_t id = first().id;
            remove_first();
            static_cast<void>(answers.answer(id, outcome));
        }
    }

    // Answers those whose deadline is not after `now` with timed_out; the earliest of the others.
    uint64_t expire(Answers& answers, uint64_t now) {
        uint64_t next = abi::deadline_never;
        const size_t before = count_;
        for (size_t i = 0; i < before; i++) {
            PendingCall call = take_first();
            if (call.deadline <= now) {
                static_cast<void>(answers.answer(call.id, Error::timed_out));
            } else {
                next = std::min(next, call.deadline);
                at(count_++) = std::move(call);
            }
        }
        return next;
    }

private:
    PendingCall& at(size_t place) { return calls_[(first_ + place) % most]; }

    std::array<PendingCall, most> calls_{};
    size_t first_ = 0;
    size_t count_ = 0;
};

}  // namespace annulus::net
