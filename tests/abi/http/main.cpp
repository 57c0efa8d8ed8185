// SPDX-License-Identifier: MIT
// The web server, over the loopback address: one port and one folder are all that it was handed.

#include "runtime/clock.h"
#include "runtime/file.h"
#include "runtime/network.h"
#include "runtime/semaphore.h"
#include "tests/guest/harness.h"

#include <array>
#include <memory>

const char* const annulus::test::suite = "http";

namespace {

using namespace annulus;

Deadline soon() { return Deadline::after(seconds(30)); }

Result<Owned<Connection>> connect(test::Context& test) {
    const auto network = TRY(test.environment().handle<Network>("net"));
    return network.open<Connection>("tcp/connect/127.0.0.1/80", abi::open_read | abi::open_write,
                                    soon());
}

constexpr std::byte content(size_t at) { return static_cast<std::byte>(at * 13 + at / 253); }

Result<void> write_file(test::Context& test, std::string_view path, size_t size) {
    const auto files = TRY(test.environment().handle<Directory>("files"));
    const auto file = TRY(files.open<File>(path, abi::open_write | abi::open_create, soon()));
    std::array<std::byte, 4096> part;
    for (size_t done = 0; done < size;) {
        const size_t count = size - done < part.size() ? size - done : part.size();
        for (size_t i = 0; i < count; i++) part[i] = content(done + i);
        TRY(file.write_at(done, std::span(part).first(count), soon()));
        done += count;
    }
    return {};
}

// What was read of a response, byte by byte where that is simplest.
class Response {
public:
    explicit Response(Connection connection) : connection_(connection) {}

    // Reads the head of the next response; 0 if there is none.
    Result<unsigned> status() {
        head_size_ = 0;
        while (!head().ends_with("\r\n\r\n")) {
            if (head_size_ == head_.size()) return Error::limit;
            const int byte = TRY(next_byte());
            if (byte < 0) return 0u;
            head_[head_size_++] = static_cast<char>(byte);
        }
        if (!head().starts_with("HTTP/1.1 ")) return Error::faulted;
        return static_cast<unsigned>((head_[9] - '0') * 100 + (head_[10] - '0') * 10 + head_[11] -
                                     '0');
    }
    std::string_view head() const { return {head_.data(), head_size_}; }

    size_t length() const {
        constexpr std::string_view name = "Content-Length: ";
        size_t value = 0;
        const size_t at = head().find(name);
        if (at == std::string_view::npos) return 0;
        for (size_t i = at + name.size(); head_[i] != '\r'; i++) {
            value = value * 10 + static_cast<size_t>(head_[i] - '0');
        }
        return value;
    }

    // Reads the body and counts bytes that are not the file's.
    Result<size_t> wrong_bytes() {
        size_t wrong = 0;
        const size_t size = length();
        for (size_t i = 0; i < size; i++) {
            const int byte = TRY(next_byte());
            if (byte < 0) return Error::closed;
            wrong += static_cast<std::byte>(byte) != content(i) ? 1 : 0;
        }
        return wrong;
    }

private:
    // -1: the stream has ended.
    Result<int> next_byte() {
        if (at_ == size_) {
            size_ = TRY(connection_.read(buffer_, soon()));
            at_ = 0;
            if (size_ == 0) return -1;
        }
        return static_cast<int>(buffer_[at_++]);
    }

    Connection connection_;
    size_t at_ = 0;
    size_t size_ = 0;
    size_t head_size_ = 0;
    std::array<char, 1024> head_;
    std::array<std::byte, 4096> buffer_;
};

constexpr std::string_view get_page = "GET /page.html HTTP/1.1\r\nHost: annulus\r\n\r\n";

// The status of one request on a connection of its own.
Result<unsigned> status_of_request(test::Context& test, std::string_view request) {
    const auto connection = TRY(connect(test));
    TRY(connection.write(request, soon()));
    TRY(connection.shut_down(abi::shutdown_send, soon()));
    Response response(connection);
    return response.status();
}

}  // namespace

TEST(files, "files of every size arrive as they are") {
    struct Example {
        std::string_view name;
        std::string_view request;
        size_t size;
    };
    constexpr Example examples[] = {
        {"empty", "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", 0},
        {"page.html", get_page, 1000},
        {"block", "GET /block HTTP/1.1\r\nHost: a\r\n\r\n", 16384},
        {"large", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", 1'000'003},
    };
    const auto connection = MUST(connect(test));
    Response response(connection);
    for (const Example& example : examples) {
        EXPECT_OK(write_file(test, example.name, example.size));
        EXPECT_OK(connection.write(example.request, soon()));
        EXPECT_EQ(MUST(response.status()), 200u);
        EXPECT_EQ(response.length(), example.size);
        EXPECT_EQ(MUST(response.wrong_bytes()), 0);
    }
}

TEST(statuses, "what cannot be served is answered with its status") {
    const auto files = MUST(test.environment().handle<Directory>("files"));
    EXPECT_OK(files.create_directory("folder", soon()));
    struct Example {
        std::string_view request;
        unsigned status;
    };
    constexpr Example examples[] = {
        {"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"GET /folder HTTP/1.1\r\nHost: a\r\n\r\n", 301},
        {"GET /folder/ HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"GET /page.html/x HTTP/1.1\r\nHost: a\r\n\r\n", 404},
        {"GET /../page.html HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /%2e%2e/page.html HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"DELETE /page.html HTTP/1.1\r\nHost: a\r\n\r\n", 405},
        {"GET /page.html HTTP/3.0\r\nHost: a\r\n\r\n", 505},
        {"GET /page.html HTTP/1.1\r\n\r\n", 400},
        {"GET /page.html HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\n", 413},
        {"rubbish\r\n\r\n", 400},
        {"HEAD /page.html HTTP/1.1\r\nHost: a\r\n\r\n", 200},
    };
    for (const Example& example : examples) {
        EXPECT_EQ(MUST(status_of_request(test, example.request)), example.status);
    }
}

TEST(keep_alive, "one connection takes three hundred requests, some sent together") {
    const auto connection = MUST(connect(test));
    Response response(connection);
    constexpr unsigned rounds = 100;
    for (unsigned i = 0; i < rounds; i++) {
        for (unsigned together = 0; together < 3; together++) {
            EXPECT_OK(connection.write(get_page, soon()));
        }
        for (unsigned together = 0; together < 3; together++) {
            EXPECT_EQ(MUST(response.status()), 200u);
            EXPECT_EQ(MUST(response.wrong_bytes()), 0);
        }
    }
}

TEST(many_connections, "forty-eight connections are served at once, slow ones beside fast ones") {
    constexpr size_t count = 48;
    std::array<Owned<Connection>, count> connections;
    for (auto& connection : connections) {
        connection = MUST(connect(test));
        // All are in the middle of their request before the first ends it.
        EXPECT_OK(connection.write(get_page.substr(0, 20), soon()));
    }
    for (size_t i = count; i-- > 0;) {
        EXPECT_OK(connections[i].write(get_page.substr(20), soon()));
        Response response(connections[i]);
        EXPECT_EQ(MUST(response.status()), 200u);
        EXPECT_EQ(MUST(response.wrong_bytes()), 0);
    }
}

// Asks for `target` on an open connection and reads the whole response; answers its bytes.
Result<size_t> fetch(Connection connection, std::string_view request, size_t body) {
    static std::array<std::byte, 16384> part;
    TRY(connection.write(request, soon()));
    size_t got = 0;
    while (got < body) got += TRY(connection.read(part, soon()));
    return got;
}

// Under an emulator that counts instructions a nanosecond is one.
Result<uint64_t> time_of_fetches(Connection connection, std::string_view request, size_t body,
                                 unsigned count) {
    TRY(fetch(connection, request, body));
    const uint64_t begin = now();
    for (unsigned i = 0; i < count; i++) TRY(fetch(connection, request, body));
    return (now() - begin) / count;
}

TEST(cost, "a small and a large response take a bounded time each") {
    const auto connection = MUST(connect(test));
    EXPECT_OK(write_file(test, "kib", 1024));
    EXPECT_OK(write_file(test, "64kib", 65536));
    EXPECT_OK(write_file(test, "mib", 1048576));
    const auto small =
        MUST(time_of_fetches(connection, "GET /kib HTTP/1.1\r\nHost: a\r\n\r\n", 1024, 50));
    const auto middle =
        MUST(time_of_fetches(connection, "GET /64kib HTTP/1.1\r\nHost: a\r\n\r\n", 65536, 10));
    const auto large =
        MUST(time_of_fetches(connection, "GET /mib HTTP/1.1\r\nHost: a\r\n\r\n", 1048576, 4));
    test::report_count("nanoseconds for a response of 1 KiB", small);
    test::report_count("nanoseconds for a response of 64 KiB", middle);
    test::report_count("nanoseconds for a response of 1 MiB", large);
    EXPECT(large < 10'000'000'000);
}

TEST(impatient_clients, "clients that leave in the middle leave nothing behind") {
    for (unsigned i = 0; i < 100; i++) {
        const auto connection = MUST(connect(test));
        EXPECT_OK(connection.write("GET /large HTTP/1.1\r\nHost: a\r\n\r\n", soon()));
        if (i % 2 == 0) continue;
        std::array<std::byte, 512> some;
        EXPECT(MUST(connection.read(some, soon())) != 0);
    }
    EXPECT_EQ(MUST(status_of_request(test, get_page)), 200u);
    const auto network = MUST(test.environment().handle<Network>("net"));
    for (unsigned i = 0; i < 500 && MUST(network.state(soon())).connections != 0; i++) {
        const auto pause = MUST(test.budget().create_semaphore(abi::semaphore_binary, 0, {}, 0));
        static_cast<void>(wait_for(pause, Deadline::after(milliseconds(10))));
    }
    EXPECT_EQ(MUST(network.state(soon())).connections, 0);
}
