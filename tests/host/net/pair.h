// SPDX-License-Identifier: MIT
// A listener and one connection to it, over lwIP's own loopback.
#pragma once

#include <string>

#include "tests/host/net/loop.h"

namespace annulus::net::test {

class PairTest : public testing::Test {
protected:
    Loop& loop_ = Loop::instance();
    Node* listener_ = nullptr;
    Node* client_ = nullptr;
    Node* server_ = nullptr;

    void listen(unsigned port = 80) {
        loop_.client_gone = false;
        listener_ = loop_.open("tcp/listen/" + std::to_string(port));
        ASSERT_NE(listener_, nullptr);
    }
    // `brings`: the end of a channel that comes with the client's request, or null.
    void connect(unsigned port = 80, BroughtEnd* brings = nullptr) {
        const uint64_t accept = loop_.ask(*listener_, abi::Verb::accept);
        loop_.brings = brings;
        client_ = loop_.open("tcp/connect/127.0.0.1/" + std::to_string(port));
        server_ = loop_.wait(accept).outcome.opened;
        ASSERT_NE(client_, nullptr);
        ASSERT_NE(server_, nullptr);
    }
    void TearDown() override {
        for (Node* node : {client_, server_, listener_}) {
            if (node != nullptr) node->closed();
        }
        loop_.run(30 * second);
        EXPECT_EQ(network_state().connections, 0u);
    }
    Error error_of(uint64_t id) { return loop_.wait(id).outcome.status.code(); }
    abi::NetworkState network_state() {
        return record_of<abi::NetworkState>(
            loop_.asked(loop_.ask(loop_.network().root(), abi::Verb::get)));
    }
};

// Bytes of which none can be mistaken for those of another place nearby.
inline std::string pattern(size_t bytes) {
    std::string text(bytes, 0);
    for (size_t i = 0; i < bytes; i++) text[i] = static_cast<char>(i * 31 + i / 251);
    return text;
}

}  // namespace annulus::net::test
