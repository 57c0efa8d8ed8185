// SPDX-License-Identifier: MIT
// The named limits of the network: each at the limit, and one above.
#include "services/net/stack/path.h"
#include "tests/host/net/loop.h"

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

class NetworkLimits : public testing::Test {
protected:
    Loop& loop_ = Loop::instance();
    std::vector<Node*> opened_;
    uint64_t next_client_ = 100;

    void SetUp() override { loop_.client_gone = false; }
    void TearDown() override {
        for (Node* node : opened_) node->closed();
        loop_.run(60 * second);
        EXPECT_EQ(connections(), 0u);
    }

    uint32_t connections() {
        const Asked& asked = loop_.asked(loop_.ask(loop_.network().root(), Verb::get));
        return record_of<abi::NetworkState>(asked).connections;
    }
    Node* keep(Node* node) {
        EXPECT_NE(node, nullptr);
        if (node != nullptr) opened_.push_back(node);
        return node;
    }
    // Each by a client of its own: one alone gets a part of all.
    Node* open(std::string_view path) { return keep(loop_.open(path, next_client_++)); }
    Error open_error(std::string_view path) {
        const uint64_t id =
            loop_.ask(loop_.network().root(), Verb::open, path, 0, 0, next_client_++);
        return loop_.wait(id).outcome.status.code();
    }
    // A connection of two clients: both ends count.
    void connect(Node& listener) {
        const uint64_t accept = loop_.ask(listener, Verb::accept, {}, 0, 0, next_client_++);
        open("tcp/connect/127.0.0.1/80");
        keep(loop_.wait(accept).outcome.opened);
    }
    void close_last() {
        opened_.back()->closed();
        opened_.pop_back();
    }
    Error error_of(uint64_t id) { return loop_.wait(id).outcome.status.code(); }
};

TEST_F(NetworkLimits, connections_in_all) {
    Node& listener = *open("tcp/listen/80");
    for (unsigned i = 0; i < abi::net_connections_max / 2; i++) {
        connect(listener);
    }
    EXPECT_EQ(connections(), abi::net_connections_max);
    // The one that would be net_connections_max + 1.
    EXPECT_EQ(open_error("tcp/connect/127.0.0.1/80"), Error::limit);
    EXPECT_EQ(connections(), abi::net_connections_max);
    close_last();
    close_last();
    loop_.run(second);
    connect(listener);
    EXPECT_EQ(open_error("tcp/connect/127.0.0.1/80"), Error::limit);
}

TEST_F(NetworkLimits, connections_that_wait_for_accept) {
    Node& listener = *open("tcp/listen/80");
    std::vector<uint64_t> opens;
    for (unsigned i = 0; i < abi::net_backlog_max + 1; i++) {
        opens.push_back(
            loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/127.0.0.1/80", 0, 0, 9));
    }
    loop_.run(10 * second);
    const auto waiting = [&] {
        const Asked& asked = loop_.asked(loop_.ask(listener, Verb::get));
        return record_of<abi::ListenerState>(asked).waiting;
    };
    EXPECT_EQ(waiting(), abi::net_backlog_max);
    // The others' handshakes are done again when there is room.
    for (unsigned i = 0; i < abi::net_backlog_max + 1; i++) {
        const uint64_t accept = loop_.ask(listener, Verb::accept, {}, 0, 0, 7);
        keep(loop_.wait(accept, 60 * second).outcome.opened);
    }
    for (const uint64_t id : opens) keep(loop_.wait(id).outcome.opened);
}

TEST_F(NetworkLimits, listeners) {
    for (unsigned i = 0; i < abi::net_listeners_max; i++) {
        open("tcp/listen/" + std::to_string(2000 + i));
    }
    EXPECT_EQ(open_error("tcp/listen/3000"), Error::limit);  // net_listeners_max + 1
    close_last();
    open("tcp/listen/3000");
}

TEST_F(NetworkLimits, datagram_sockets) {
    for (unsigned i = 0; i < abi::net_datagram_sockets_max; i++) open("udp/bind/0");
    EXPECT_EQ(open_error("udp/bind/0"), Error::limit);  // net_datagram_sockets_max + 1
    close_last();
    open("udp/bind/0");
}

TEST_F(NetworkLimits, prefixes) {
    for (unsigned i = 0; i < abi::net_prefixes_max; i++) open("tcp");
    EXPECT_EQ(open_error("tcp"), Error::limit);  // net_prefixes_max + 1
    close_last();
    open("udp");
}

TEST_F(NetworkLimits, bytes_of_a_datagram_and_datagrams_that_are_kept) {
    Node& receiver = *open("udp/bind/7000");
    Node& sender = *open("udp/connect/127.0.0.1/7000");
    const std::string longest(abi::net_datagram_bytes_max, 'x');
    const std::string longer(abi::net_datagram_bytes_max + 1, 'x');
    EXPECT_EQ(error_of(loop_.ask(sender, Verb::write, longer)), Error::limit);
    constexpr unsigned kept_max = 16;
    const auto dropped = [&] {
        loop_.run();
        return record_of<abi::DatagramState>(loop_.asked(loop_.ask(receiver, Verb::get))).dropped;
    };
    for (unsigned i = 0; i < kept_max; i++) {
        EXPECT_EQ(error_of(loop_.ask(sender, Verb::write, longest)), Error::ok);
    }
    EXPECT_EQ(dropped(), 0u);
    EXPECT_EQ(error_of(loop_.ask(sender, Verb::write, "x")), Error::ok);  // kept_max + 1
    EXPECT_EQ(dropped(), 1u);
    EXPECT_EQ(loop_.wait(loop_.ask(receiver, Verb::read)).bytes, longest);
}

TEST_F(NetworkLimits, requests_that_wait) {
    Node& listener = *open("tcp/listen/80");
    connect(listener);
    Node& server = *opened_.back();
    for (unsigned i = 0; i < abi::net_requests_max; i++) {
        static_cast<void>(loop_.ask(server, Verb::read));
    }
    // net_requests_max + 1
    EXPECT_EQ(loop_.asked(loop_.ask(server, Verb::read)).outcome.status.code(), Error::limit);
    for (unsigned i = 0; i < abi::net_accepts_max; i++) {
        static_cast<void>(loop_.ask(listener, Verb::accept));
    }
    // net_accepts_max + 1
    EXPECT_EQ(loop_.asked(loop_.ask(listener, Verb::accept)).outcome.status.code(), Error::limit);
}

TEST_F(NetworkLimits, seconds_between_signs_of_life) {
    Node& listener = *open("tcp/listen/80");
    connect(listener);
    constexpr uint64_t seconds_max = 24 * 60 * 60;
    constexpr auto option = static_cast<uint64_t>(abi::ConnectionOption::keep_alive_seconds);
    Node& server = *opened_.back();
    EXPECT_EQ(error_of(loop_.ask(server, Verb::set, {}, option, seconds_max)), Error::ok);
    EXPECT_EQ(error_of(loop_.ask(server, Verb::set, {}, option, seconds_max + 1)),
              Error::bad_argument);
}

PathKind kind_of(const std::string& path) { return parse_path(path).kind; }
std::string host_path(const std::string& host) { return "tcp/connect/" + host + "/1"; }

TEST(socket_path_limits, hosts_labels_and_parts) {
    constexpr size_t label_max = 63;
    EXPECT_EQ(kind_of(host_path(std::string(label_max, 'a'))), PathKind::tcp_connect);
    EXPECT_EQ(kind_of(host_path(std::string(label_max + 1, 'a'))), PathKind::malformed);
    std::string longest(host_name_max, 'a');
    std::string longer(host_name_max + 1, 'a');
    for (std::string* name : {&longest, &longer}) (*name)[40] = (*name)[80] = '.';
    EXPECT_EQ(kind_of(host_path(longest)), PathKind::tcp_connect);
    EXPECT_EQ(kind_of(host_path(longer)), PathKind::malformed);
    // parts_max, and parts_max + 1.
    EXPECT_EQ(kind_of("tcp/connect/host/80"), PathKind::tcp_connect);
    EXPECT_EQ(kind_of("tcp/connect/host/80/x"), PathKind::malformed);
}

TEST(socket_path_limits, ports) {
    constexpr uint32_t port_max = 65535;
    EXPECT_EQ(parse_path("tcp/listen/" + std::to_string(port_max)).port, port_max);
    EXPECT_EQ(kind_of("tcp/listen/" + std::to_string(port_max + 1)), PathKind::malformed);
    // digits_max + 1: more than digits_max could be past what 32 bits hold.
    EXPECT_EQ(kind_of("tcp/listen/100000"), PathKind::malformed);
    EXPECT_EQ(kind_of("tcp/listen/4294967376"), PathKind::malformed);
}

TEST(socket_path_limits, whole_paths) {
    for (const size_t bytes : {path_max, path_max + 1}) {
        JoinedPath path;
        EXPECT_EQ(path.append(std::string(bytes, 'x')), bytes == path_max);
        JoinedPath joined;
        EXPECT_TRUE(joined.append("tcp"));
        EXPECT_EQ(joined.append(std::string(bytes - 4, 'x')), bytes == path_max);
    }
}

}  // namespace
}  // namespace annulus::net
