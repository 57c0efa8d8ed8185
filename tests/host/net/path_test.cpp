// SPDX-License-Identifier: MIT
// Tests of the paths of sockets.
#include "services/net/stack/path.h"

#include <string>

#include <gtest/gtest.h>

namespace annulus::net {
namespace {

TEST(socket_path, sockets_are_named_by_what_they_do) {
    const SocketPath listen = parse_path("tcp/listen/80");
    EXPECT_EQ(listen.kind, PathKind::tcp_listen);
    EXPECT_EQ(listen.port, 80);
    const SocketPath connect = parse_path("tcp/connect/10.0.2.2/65535");
    EXPECT_EQ(connect.kind, PathKind::tcp_connect);
    EXPECT_EQ(connect.host, "10.0.2.2");
    EXPECT_EQ(connect.port, 65535);
    EXPECT_EQ(parse_path("tcp/connect/www.example-1.org/443").host, "www.example-1.org");
    EXPECT_EQ(parse_path("udp/bind/0").kind, PathKind::udp_bind);
    EXPECT_EQ(parse_path("udp/connect/1.2.3.4/53").kind, PathKind::udp_connect);
}

TEST(socket_path, every_beginning_of_one_is_a_prefix) {
    for (const char* path : {"tcp", "udp", "tcp/listen", "tcp/connect", "tcp/connect/10.0.0.1",
                             "tcp/connect/host", "udp/bind", "udp/connect/10.0.0.1"}) {
        EXPECT_EQ(parse_path(path).kind, PathKind::prefix) << path;
    }
}

TEST(socket_path, malformed_ones_are_refused) {
    for (const char* path : {"",
                             "/",
                             "tcp/",
                             "/tcp",
                             "tcp//listen",
                             "tcp/listen/",
                             "tcp/listen/0",
                             "tcp/listen/080",
                             "tcp/listen/65536",
                             "tcp/listen/-1",
                             "tcp/listen/+80",
                             "tcp/listen/80/",
                             "tcp/listen/ 80",
                             "tcp/listen/80/1",
                             "tcp/listen/123456",
                             "tcp/accept/80",
                             "sctp",
                             "tcp/connect/../80",
                             "tcp/connect/1.2.3/80",
                             "tcp/connect/1.2.3.4.5/80",
                             "tcp/connect/1.2.3.256/80",
                             "tcp/connect/1.2.3.04/80",
                             "tcp/connect/a..b/80",
                             "tcp/connect/.a/80",
                             "tcp/connect/a./80",
                             "tcp/connect/-a/80",
                             "tcp/connect/a-/80",
                             "tcp/connect/a_b/80",
                             "tcp/connect/a b/80",
                             "tcp/connect/host/0",
                             "tcp/connect/host/80/x",
                             "TCP/listen/80"}) {
        EXPECT_EQ(parse_path(path).kind, PathKind::malformed) << path;
    }
    EXPECT_EQ(parse_path("tcp/connect/" + std::string(64, 'a') + "/1").kind, PathKind::malformed);
    EXPECT_EQ(parse_path("tcp/connect/" + std::string(63, 'a') + "/1").kind, PathKind::tcp_connect);
    std::string name(127, 'a');
    name[40] = name[80] = '.';
    EXPECT_EQ(parse_path("tcp/connect/" + name + "/1").kind, PathKind::tcp_connect);
    EXPECT_EQ(parse_path("tcp/connect/" + name + "a/1").kind, PathKind::malformed);
}

TEST(socket_path, addresses_are_four_numbers) {
    EXPECT_EQ(parse_address("10.0.2.15"), 0x0a00020fu);
    EXPECT_EQ(parse_address("255.255.255.255"), 0xffffffffu);
    for (const char* text : {"", "1", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "a.b.c.d"}) {
        EXPECT_FALSE(parse_address(text).has_value()) << text;
    }
}

TEST(joined_path, grows_up_to_its_limit) {
    JoinedPath path;
    ASSERT_TRUE(path.append("tcp"));
    ASSERT_TRUE(path.append("listen/80"));
    EXPECT_EQ(path.text(), "tcp/listen/80");
    EXPECT_FALSE(path.append(std::string(path_max - path.text().size(), 'x')));
    EXPECT_EQ(path.text(), "tcp/listen/80");
    EXPECT_TRUE(path.append(std::string(path_max - path.text().size() - 1, 'x')));
    EXPECT_EQ(path.text().size(), path_max);
}

}  // namespace
}  // namespace annulus::net
