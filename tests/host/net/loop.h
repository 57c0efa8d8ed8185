// SPDX-License-Identifier: MIT
// A network on the host whose sockets reach each other over 127.0.0.1, and a client that asks.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "abi/net.h"
#include "services/net/stack/network.h"

namespace annulus::net::test {

constexpr uint64_t millisecond = 1'000'000;
constexpr uint64_t second = 1000 * millisecond;

// A request as a client sees it.
struct Asked {
    bool answered = false;
    Outcome outcome;
    std::string bytes;
};

// The only network of the program: lwIP's state is global. Each test starts with no sockets.
class Loop final : public Answers {
public:
    static Loop& instance() {
        static Loop loop;
        return loop;
    }

    Network& network() { return *network_; }
    uint64_t now() const { return now_; }

    // Lets time pass, in steps of at most 50 ms.
    void run(uint64_t span = 20 * millisecond) {
        const uint64_t end = now_ + span;
        network_->turn(now_);
        while (now_ < end) {
            now_ =
                std::min({end, now_ + 50 * millisecond, std::max(network_->next_turn(), now_ + 1)});
            network_->turn(now_);
        }
    }

    // Sends a request; the answer may come later.
    uint64_t ask(Node& node, abi::Verb verb, std::string_view bytes = {}, uint64_t word_0 = 0,
                 uint64_t word_1 = 0, uint64_t client = 1, uint64_t deadline = ~uint64_t{0}) {
        const uint64_t id = ++last_id_;
        // Blocks stay in place until the answer.
        auto& block = blocks_[id];
        block.resize(block_bytes);
        std::copy_n(std::as_bytes(std::span(bytes)).begin(), bytes.size(), block.begin());
        Call call;
        call.id = id;
        call.verb = verb;
        call.words = {word_0, word_1};
        call.bytes = std::span(block).first(bytes.size());
        call.space = block;
        clients_[id] = client;
        call.deadline = deadline;
        call.brought = std::exchange(brings, nullptr);
        const Outcome outcome = node.handle(call);
        if (!outcome.is_later) record(id, outcome);
        return id;
    }
    Asked& asked(uint64_t id) { return asked_[id]; }

    // Sends a request and lets time pass until it is answered.
    Asked& wait(uint64_t id, uint64_t span = 5 * second) {
        const uint64_t end = now_ + span;
        while (!asked_[id].answered && now_ < end) run(5 * millisecond);
        return asked_[id];
    }

    Node* open(std::string_view path, uint64_t client = 1) {
        return wait(ask(network_->root(), abi::Verb::open, path, 0, 0, client)).outcome.opened;
    }

    // What the next request brings along.
    BroughtEnd* brings = nullptr;

    // The next answers find no client.
    bool client_gone = false;
    // The answer to this request finds none.
    uint64_t left = 0;

    static constexpr size_t block_bytes = 16384;

private:
    Loop() : network_(std::make_unique<Network>(*this, 7)) { run(); }

    bool answer(uint64_t request, const Outcome& outcome) override {
        if (client_gone || request == left) {
            blocks_.erase(request);
            return false;
        }
        record(request, outcome);
        return true;
    }

    Result<uint64_t> prepare(uint64_t request, Node&) override { return clients_[request]; }

    void record(uint64_t id, const Outcome& outcome) {
        Asked& asked = asked_[id];
        EXPECT_FALSE(asked.answered) << "two answers to one request";
        asked.answered = true;
        asked.outcome = outcome;
        const auto& block = blocks_[id];
        // Safety: bytes may be looked at as characters.
        asked.bytes.assign(reinterpret_cast<const char*>(block.data()), outcome.bytes);
        blocks_.erase(id);
    }

    std::unique_ptr<Network> network_;
    uint64_t now_ = second;
    uint64_t last_id_ = 0;
    std::map<uint64_t, Asked> asked_;
    std::map<uint64_t, uint64_t> clients_;
    std::map<uint64_t, std::vector<std::byte>> blocks_;
};

template <typename Record>
Record record_of(const Asked& asked) {
    Record record{};
    EXPECT_EQ(asked.bytes.size(), sizeof(Record));
    if (asked.bytes.size() == sizeof(Record))
        std::memcpy(&record, asked.bytes.data(), sizeof(Record));
    return record;
}

}  // namespace annulus::net::test
