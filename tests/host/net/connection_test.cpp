// SPDX-License-Identifier: MIT
// Tests of listeners and connections, over lwIP's own loopback.
#include "tests/host/net/pair.h"

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

class ConnectionTest : public PairTest {
protected:
    void SetUp() override { listen(); }
    abi::ConnectionState state(Node& node) {
        return record_of<abi::ConnectionState>(loop_.asked(loop_.ask(node, Verb::get)));
    }
};

TEST_F(ConnectionTest, a_read_waits_until_bytes_come) {
    connect();
    const uint64_t read = loop_.ask(*server_, Verb::read);
    loop_.run();
    EXPECT_FALSE(loop_.asked(read).answered);
    const Asked& written = loop_.wait(loop_.ask(*client_, Verb::write, "hello"));
    EXPECT_EQ(written.outcome.words[0], 5u);
    EXPECT_EQ(loop_.wait(read).bytes, "hello");
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::sync)), Error::ok);
    EXPECT_EQ(state(*client_).unacknowledged, 0u);
}

TEST_F(ConnectionTest, many_bytes_arrive_once_and_in_order) {
    connect();
    const std::string sent = pattern(3'000'000);
    std::string got;
    size_t written = 0;
    uint64_t write = 0;
    uint64_t read = loop_.ask(*server_, Verb::read);
    for (unsigned turns = 0; got.size() < sent.size() && turns < 100'000; turns++) {
        if (write != 0 && loop_.asked(write).answered) {
            written += loop_.asked(write).outcome.words[0];
            write = 0;
        }
        if (write == 0 && written < sent.size()) {
            write = loop_.ask(*client_, Verb::write,
                              std::string_view(sent).substr(written, Loop::block_bytes));
        }
        if (loop_.asked(read).answered) {
            got += loop_.asked(read).bytes;
            read = loop_.ask(*server_, Verb::read);
        }
        loop_.run(millisecond);
    }
    EXPECT_EQ(got.size(), sent.size());
    EXPECT_TRUE(got == sent);
}

TEST_F(ConnectionTest, a_writer_waits_for_a_reader_that_does_not_read) {
    connect();
    const std::string block = pattern(Loop::block_bytes);
    size_t written = 0;
    uint64_t write = 0;
    for (unsigned i = 0; i < 100; i++) {
        write = loop_.ask(*client_, Verb::write, block);
        loop_.run(200 * millisecond);
        if (!loop_.asked(write).answered) break;
        written += loop_.asked(write).outcome.words[0];
    }
    EXPECT_FALSE(loop_.asked(write).answered);
    EXPECT_EQ(state(*server_).readable, uint32_t{TCP_WND});
    EXPECT_LE(written, size_t{TCP_WND} + TCP_SND_BUF);
    while (!loop_.asked(write).answered) {
        ASSERT_EQ(error_of(loop_.ask(*server_, Verb::read)), Error::ok);
    }
}

TEST_F(ConnectionTest, the_end_of_the_stream_is_seen_after_its_bytes) {
    connect();
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, "last")), Error::ok);
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::shutdown, {}, abi::shutdown_send)), Error::ok);
    loop_.run();
    EXPECT_EQ(loop_.wait(loop_.ask(*server_, Verb::read)).bytes, "last");
    const Asked& end = loop_.wait(loop_.ask(*server_, Verb::read));
    EXPECT_EQ(end.outcome.status.code(), Error::ok);
    EXPECT_TRUE(end.bytes.empty());
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, "more")), Error::closed);
    // The other direction still works.
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::write, "answer")), Error::ok);
    EXPECT_EQ(loop_.wait(loop_.ask(*client_, Verb::read)).bytes, "answer");
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::shutdown, {}, abi::shutdown_send)), Error::ok);
    EXPECT_TRUE(loop_.wait(loop_.ask(*client_, Verb::read)).bytes.empty());
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::sync)), Error::ok);
}

TEST_F(ConnectionTest, what_was_written_is_sent_after_the_close) {
    connect();
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, pattern(10'000))), Error::ok);
    client_->closed();
    client_ = nullptr;
    std::string got;
    for (;;) {
        const Asked& part = loop_.wait(loop_.ask(*server_, Verb::read));
        ASSERT_EQ(part.outcome.status.code(), Error::ok);
        if (part.bytes.empty()) break;
        got += part.bytes;
    }
    EXPECT_EQ(got, pattern(10'000));
}

TEST_F(ConnectionTest, a_close_with_unread_bytes_resets_the_peer) {
    connect();
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, "unread")), Error::ok);
    loop_.run();
    const uint64_t read = loop_.ask(*client_, Verb::read);
    server_->closed();
    server_ = nullptr;
    EXPECT_EQ(error_of(read), Error::closed);
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, "more")), Error::closed);
    EXPECT_EQ(state(*client_).phase, abi::ConnectionPhase::closed);
}

TEST_F(ConnectionTest, closing_answers_what_waits) {
    connect();
    const uint64_t read = loop_.ask(*server_, Verb::read);
    const uint64_t accept = loop_.ask(*listener_, Verb::accept);
    server_->closed();
    server_ = nullptr;
    listener_->closed();
    listener_ = nullptr;
    EXPECT_EQ(error_of(read), Error::closed);
    EXPECT_EQ(error_of(accept), Error::closed);
}

TEST_F(ConnectionTest, a_request_ends_at_its_deadline) {
    connect();
    const uint64_t deadline = loop_.now() + second;
    const uint64_t read = loop_.ask(*server_, Verb::read, {}, 0, 0, 1, deadline);
    const uint64_t accept = loop_.ask(*listener_, Verb::accept, {}, 0, 0, 1, deadline + second);
    loop_.run(900 * millisecond);
    EXPECT_FALSE(loop_.asked(read).answered);
    loop_.run(200 * millisecond);
    EXPECT_TRUE(loop_.asked(read).answered);
    EXPECT_EQ(loop_.asked(read).outcome.status.code(), Error::timed_out);
    EXPECT_FALSE(loop_.asked(accept).answered);
    EXPECT_EQ(error_of(accept), Error::timed_out);
}

TEST_F(ConnectionTest, bytes_for_a_client_that_left_stay_for_the_next) {
    connect();
    static_cast<void>(loop_.ask(*server_, Verb::read));
    loop_.client_gone = true;
    static_cast<void>(loop_.ask(*client_, Verb::write, "kept"));
    loop_.run();
    loop_.client_gone = false;
    EXPECT_EQ(loop_.wait(loop_.ask(*server_, Verb::read)).bytes, "kept");
}

TEST_F(ConnectionTest, a_connection_whose_acceptor_left_waits_for_the_next) {
    loop_.left = loop_.ask(*listener_, Verb::accept);
    client_ = loop_.open("tcp/connect/127.0.0.1/80");
    ASSERT_NE(client_, nullptr);
    const uint64_t second_open =
        loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/127.0.0.1/80");
    static_cast<void>(loop_.ask(*client_, Verb::write, "first"));
    loop_.run();
    const auto listener =
        record_of<abi::ListenerState>(loop_.asked(loop_.ask(*listener_, Verb::get)));
    EXPECT_EQ(listener.waiting, 2u);
    EXPECT_EQ(listener.accepted, 0u);
    server_ = loop_.wait(loop_.ask(*listener_, Verb::accept)).outcome.opened;
    ASSERT_NE(server_, nullptr);
    EXPECT_EQ(loop_.wait(loop_.ask(*server_, Verb::read)).bytes, "first");
    Node* const second_client = loop_.wait(second_open).outcome.opened;
    ASSERT_NE(second_client, nullptr);
    second_client->closed();
}

TEST_F(ConnectionTest, a_connection_whose_both_clients_left_is_seen_to_have_ended) {
    static_cast<void>(loop_.ask(*listener_, Verb::accept));
    const uint64_t open = loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/127.0.0.1/80");
    loop_.client_gone = true;
    loop_.run();
    loop_.client_gone = false;
    EXPECT_FALSE(loop_.asked(open).answered);
    server_ = loop_.wait(loop_.ask(*listener_, Verb::accept)).outcome.opened;
    ASSERT_NE(server_, nullptr);
    const Asked& read = loop_.wait(loop_.ask(*server_, Verb::read));
    EXPECT_EQ(read.outcome.status.code(), Error::ok);
    EXPECT_EQ(read.bytes, "");
}

TEST_F(ConnectionTest, nobody_listening_is_refused) {
    const uint64_t open = loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/127.0.0.1/81");
    EXPECT_EQ(error_of(open), Error::refused);
}

TEST_F(ConnectionTest, without_an_interface_there_is_no_route) {
    const uint64_t open = loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/10.9.9.9/80");
    EXPECT_EQ(error_of(open), Error::no_route);
    const uint64_t name = loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/some.host/80");
    EXPECT_EQ(loop_.wait(name, 60 * second).outcome.status.code(), Error::not_found);
}

TEST_F(ConnectionTest, a_port_has_one_listener) {
    EXPECT_EQ(error_of(loop_.ask(loop_.network().root(), Verb::open, "tcp/listen/80")),
              Error::exists);
    connect();
    listener_->closed();
    server_->closed();
    client_->closed();
    server_ = client_ = nullptr;
    loop_.run();
    // Old connections of the port are in TIME_WAIT.
    listener_ = loop_.open("tcp/listen/80");
    EXPECT_NE(listener_, nullptr);
}

TEST_F(ConnectionTest, a_greedy_client_leaves_something_for_everybody) {
    Node& root = loop_.network().root();
    std::vector<uint64_t> opens;
    // Opens as many as it gets; the last answer is an error.
    const auto open_all = [&](uint64_t client) {
        for (size_t count = 0;; count++) {
            const uint64_t open =
                loop_.ask(root, Verb::open, "tcp/connect/127.0.0.1/80", 0, 0, client);
            if (loop_.asked(open).answered) {
                EXPECT_EQ(loop_.asked(open).outcome.status.code(), Error::limit);
                return count;
            }
            opens.push_back(open);
        }
    };
    EXPECT_EQ(open_all(9), size_t{abi::net_connections_max} / 2);
    EXPECT_EQ(open_all(8), size_t{abi::net_connections_max} / 4);
    EXPECT_EQ(open_all(7), size_t{abi::net_connections_max} / 8);
    EXPECT_EQ(open_all(9), 0u);
    loop_.run(second);
    const auto listener =
        record_of<abi::ListenerState>(loop_.asked(loop_.ask(*listener_, Verb::get)));
    EXPECT_LE(listener.waiting, abi::net_backlog_max);
    EXPECT_GE(listener.waiting, abi::net_backlog_max / 2 - 1);
    EXPECT_LE(network_state().connections, abi::net_connections_max);
    listener_->closed();
    listener_ = nullptr;
    for (const uint64_t open : opens) {
        Asked& asked = loop_.wait(open, 200 * second);
        EXPECT_TRUE(asked.answered);
        if (asked.outcome.opened != nullptr) asked.outcome.opened->closed();
    }
    // All is given back: the next client gets as much.
    loop_.run(30 * second);
    listener_ = loop_.open("tcp/listen/80");
    opens.clear();
    EXPECT_EQ(open_all(6), size_t{abi::net_connections_max} / 2);
    for (const uint64_t open : opens) {
        Asked& asked = loop_.wait(open, 200 * second);
        if (asked.outcome.opened != nullptr) asked.outcome.opened->closed();
    }
}

TEST_F(ConnectionTest, a_greedy_client_leaves_memory_for_what_others_send) {
    // Peers that do not read: all that it writes stays in the network's memory, which has no room
    // for as much.
    constexpr size_t count = 80;
    constexpr uint64_t greedy = 9;
    std::vector<Node*> nodes;
    const auto pair = [&](uint64_t client) {
        const uint64_t accept = loop_.ask(*listener_, Verb::accept, {}, 0, 0, 5);
        nodes.push_back(loop_.open("tcp/connect/127.0.0.1/80", client));
        nodes.push_back(loop_.wait(accept).outcome.opened);
        return nodes[nodes.size() - 2];
    };
    const std::string block = pattern(Loop::block_bytes);
    size_t waiting = 0;
    for (size_t i = 0; i < count; i++) {
        Node* const node = pair(greedy);
        ASSERT_NE(node, nullptr);
        uint64_t write = 0;
        do {
            write = loop_.ask(*node, Verb::write, block, 0, 0, greedy);
            loop_.run(millisecond);
        } while (loop_.asked(write).answered);
        waiting++;
    }
    EXPECT_EQ(waiting, count);
    // Another one has room for as much as a connection may have on its way.
    Node* const other = pair(8);
    size_t written = 0;
    for (unsigned i = 0; i < 7; i++) {
        const Asked& asked = loop_.wait(loop_.ask(*other, Verb::write, block, 0, 0, 8), second);
        ASSERT_TRUE(asked.answered);
        written += asked.outcome.words[0];
    }
    EXPECT_GT(written, size_t{TCP_SND_BUF});
    std::string got;
    while (got.size() < written) {
        const Asked& read = loop_.wait(loop_.ask(*nodes.back(), Verb::read));
        ASSERT_FALSE(read.bytes.empty());
        got += read.bytes;
    }
    // What is read comes back, though nobody writes any more.
    Node* const again = pair(greedy);
    const uint64_t more = loop_.ask(*again, Verb::write, block, 0, 0, greedy);
    loop_.run(second);
    EXPECT_FALSE(loop_.asked(more).answered);
    for (size_t i = 1; i < 2 * count; i += 2) {
        do {
            loop_.run(millisecond);
            static_cast<void>(loop_.wait(loop_.ask(*nodes[i], Verb::read)));
            loop_.run(millisecond);
        } while (state(*nodes[i]).readable != 0);
    }
    EXPECT_TRUE(loop_.wait(more).answered);
    for (Node* const node : nodes) node->closed();
}

TEST_F(ConnectionTest, listeners_and_parts_are_counted_for_each_client) {
    std::vector<Node*> nodes;
    const auto open_all = [&](std::string_view kind, uint64_t client) {
        for (size_t count = 0;; count++) {
            std::string path(kind);
            if (kind != "tcp/connect") path += "/" + std::to_string(9000 + nodes.size());
            const Asked& asked =
                loop_.wait(loop_.ask(loop_.network().root(), Verb::open, path, 0, 0, client));
            if (asked.outcome.opened == nullptr) {
                EXPECT_EQ(asked.outcome.status.code(), Error::limit);
                return count;
            }
            nodes.push_back(asked.outcome.opened);
        }
    };
    // The fixture's listener is one of client 1's.
    EXPECT_EQ(open_all("tcp/listen", 9), 8u);
    EXPECT_EQ(open_all("tcp/listen", 8), 4u);
    EXPECT_EQ(open_all("udp/bind", 9), size_t{abi::net_datagram_sockets_max} / 2);
    EXPECT_GT(open_all("udp/bind", 8), 2u);
    EXPECT_EQ(open_all("tcp/connect", 9), size_t{abi::net_prefixes_max} / 2);
    EXPECT_GT(open_all("tcp/connect", 8), 8u);
    for (Node* const node : nodes) node->closed();
}

TEST_F(ConnectionTest, a_peer_that_never_reads_does_not_hold_a_closed_connection) {
    connect();
    for (unsigned i = 0; i < 8; i++) {
        static_cast<void>(loop_.ask(*client_, Verb::write, pattern(Loop::block_bytes)));
        loop_.run(200 * millisecond);
    }
    client_->closed();
    client_ = nullptr;
    loop_.run((abi::net_linger_seconds + 5) * second);
    // What was in the window is still here; the rest was given up.
    size_t got = 0;
    for (;;) {
        const Asked& part = loop_.wait(loop_.ask(*server_, Verb::read));
        if (part.outcome.status.code() != Error::ok) break;
        ASSERT_FALSE(part.bytes.empty());
        got += part.bytes.size();
    }
    EXPECT_EQ(got, size_t{TCP_WND});
}

TEST_F(ConnectionTest, unknown_operations_and_operands_are_refused) {
    connect();
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::list)), Error::bad_operation);
    EXPECT_EQ(error_of(loop_.ask(*listener_, Verb::read)), Error::bad_operation);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::read, {}, 1)), Error::bad_argument);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::shutdown, {}, 0)), Error::bad_argument);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::shutdown, {}, 4)), Error::not_supported);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::set, {}, 77, 1)), Error::not_supported);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::set, {}, 0, 2)), Error::bad_argument);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::set, {}, 0, 1)), Error::ok);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::set, {}, 1, 60)), Error::ok);
    EXPECT_EQ(error_of(loop_.ask(loop_.network().root(), Verb::open, "tcp/listen/81", 4)),
              Error::not_supported);
    EXPECT_EQ(error_of(loop_.ask(loop_.network().root(), Verb::open, "/")), Error::bad_argument);
}

TEST_F(ConnectionTest, a_prefix_opens_only_what_lies_below) {
    Node* prefix = loop_.open("tcp/connect/127.0.0.1");
    ASSERT_NE(prefix, nullptr);
    EXPECT_EQ(error_of(loop_.ask(*prefix, Verb::open, "80/1")), Error::bad_argument);
    EXPECT_EQ(error_of(loop_.ask(*prefix, Verb::open, "../listen/81")), Error::bad_argument);
    EXPECT_EQ(error_of(loop_.ask(*prefix, Verb::get)), Error::bad_operation);
    const Asked& opened = loop_.wait(loop_.ask(*prefix, Verb::open, "80"));
    ASSERT_NE(opened.outcome.opened, nullptr);
    EXPECT_EQ(opened.outcome.words[1], 2u);
    opened.outcome.opened->closed();
    prefix->closed();
}

TEST_F(ConnectionTest, too_many_requests_of_one_connection_are_refused) {
    connect();
    std::vector<uint64_t> reads;
    for (unsigned i = 0; i < abi::net_requests_max; i++) {
        reads.push_back(loop_.ask(*server_, Verb::read));
    }
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::read)), Error::limit);
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, "x")), Error::ok);
    EXPECT_EQ(loop_.wait(reads[0]).bytes, "x");
    EXPECT_FALSE(loop_.asked(reads[1]).answered);
}

}  // namespace
}  // namespace annulus::net
