// SPDX-License-Identifier: MIT
// The objects that the service serves, as far as they need no system: requests in, answers out.
// Policy-free, so that hosts' tests drive them.
#pragma once

#include "abi/limits.h"
#include "abi/protocol.h"
#include "abi/verb.h"
#include "base/result.h"
#include "services/net/stack/client_stream.h"

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace annulus::net {

using abi::Error;
using abi::Status;

class Node;

// A channel's end that came with a request, not looked at yet.
class BroughtEnd {
public:
    // Makes a stream of it, once. Errors: abi/net.h.
    virtual Result<std::unique_ptr<ClientStream>> take() = 0;

protected:
    ~BroughtEnd() = default;
};

// One request. `bytes` and `space` are the same memory, which stays in place until the answer.
struct Call {
    uint64_t id = 0;
    abi::Verb verb{};
    uint16_t selector = 0;
    std::array<uint64_t, 2> words{};
    std::span<const std::byte> bytes;  // what the client sent
    std::span<std::byte> space;        // where answered bytes go
    uint64_t deadline = abi::deadline_never;
    BroughtEnd* brought = nullptr;  // null: no handle came; valid during handle()

    [[nodiscard]] bool is(abi::Verb asked, uint16_t with) const {
        return verb == asked && selector == with;
    }
    [[nodiscard]] std::string_view text() const {
        // Safety: any bytes may be looked at as characters.
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

// An answer.
struct Outcome {
    Status status{};
    std::array<uint64_t, 2> words{};
    size_t bytes = 0;        // of Call::space
    Node* opened = nullptr;  // becomes a handle as word 0; words[1] stays
    bool is_later = false;   // no answer yet

    Outcome() = default;
    Outcome(Status why) : status(why) {}
    Outcome(Error why) : status(why) {}
    static Outcome later() {
        Outcome outcome;
        outcome.is_later = true;
        return outcome;
    }
    static Outcome with_word(uint64_t word) {
        Outcome outcome;
        outcome.words[0] = word;
        return outcome;
    }
    static Outcome with_bytes(size_t count) {
        Outcome outcome;
        outcome.bytes = count;
        return outcome;
    }
};

// An object that clients hold handles of.
class Node {
public:
    // Answers one request, or keeps its id and answers later through Answers.
    virtual Outcome handle(const Call& call) = 0;

    // What a handle to it may do at all.
    [[nodiscard]] virtual abi::Rights rights() const = 0;

    // What it speaks, in abi::net_version.
    [[nodiscard]] virtual abi::Protocol protocol() const = 0;

    // No handle names it any more; requests that wait are answered, and it may delete itself.
    virtual void closed() = 0;

    // Ends requests whose deadline is not after `now`; the earliest of the others.
    virtual uint64_t expire(uint64_t now) = 0;

protected:
    ~Node() = default;
};

// Where answers to open requests go.
class Answers {
public:
    // False: the client has left, or could not be given the handle; then `opened` was not handed
    // out and no bytes were taken.
    virtual bool answer(uint64_t request, const Outcome& outcome) = 0;

    // `node` will be the answer to `request` if that succeeds: makes the handle, which the asking
    // program pays for, and says which client that is. An error is the request's answer.
    virtual Result<uint64_t> prepare(uint64_t request, Node& node) = 0;

protected:
    ~Answers() = default;
};

// Puts a record at the begin of the client's space; out_of_range if it does not fit.
template <typename Record>
Outcome answer_record(const Call& call, const Record& record) {
    const auto bytes = std::as_bytes(std::span(&record, 1));
    if (call.space.size() < bytes.size()) return Error::out_of_range;
    for (size_t i = 0; i < bytes.size(); i++) call.space[i] = bytes[i];
    return Outcome::with_bytes(bytes.size());
}

}  // namespace annulus::net
