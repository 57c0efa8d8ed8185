// SPDX-License-Identifier: MIT
// Tests of connections whose bytes go through shared memory, with clients that lie.
#include "tests/host/channel/shared_memory.h"
#include "tests/host/net/pair.h"

#include <atomic>
#include <chrono>
#include <stop_token>
#include <thread>
#include <utility>

namespace annulus::net {
namespace {

using namespace test;
using abi::Verb;

constexpr channel::Geometry geometry = channel::bytes_geometry(12);

// What both sides of a channel know of it.
struct Shared {
    channel::SharedMemory memory{geometry};
    ClientStream::Client client = ClientStream::Client::there;
    uint32_t reason = 0;
    unsigned rings = 0;
    bool gone = false;  // the network has let go of its end
};

class FakeStream final : public ClientStream {
public:
    explicit FakeStream(Shared& shared)
        : ClientStream(shared.memory.bytes(), geometry, channel::Side::second), shared_(shared) {}
    ~FakeStream() override { shared_.gone = true; }
    Client client() override { return shared_.client; }
    void shut_down(uint32_t reason) override {
        if (shared_.reason == 0) shared_.reason = reason;
    }
    using ClientStream::client_rang;

private:
    void ring() override { shared_.rings++; }

    Shared& shared_;
};

// A client's side: rings the network each time it has done something.
class Client final : public BroughtEnd {
public:
    struct Bell {
        Client* client;
        void ring() const { client->rang_ = true; }
    };

    Result<std::unique_ptr<ClientStream>> take() override {
        if (refuses.code() != Error::ok) return refuses;
        auto stream = std::make_unique<FakeStream>(shared);
        stream_ = stream.get();
        return std::unique_ptr<ClientStream>(std::move(stream));
    }
    size_t write(std::string_view text) {
        const size_t count = ends.writer.write(std::as_bytes(std::span(text)));
        ring();
        return count;
    }
    std::string read() {
        std::string text(geometry.size(), 0);
        text.resize(ends.reader.read(std::as_writable_bytes(std::span(text))));
        ring();
        return text;
    }
    void ring() {
        if (!shared.gone) stream_->client_rang();
    }
    // Whether the network has asked to be rung, which it must be now.
    bool is_asked() { return std::exchange(rang_, false); }

    Shared shared;
    abi::Status refuses;
    std::atomic<bool> written{false};
    channel::BytePair<Bell> ends = channel::BytePair<Bell>::attach(shared.memory.bytes(), geometry,
                                                                   channel::Side::first, Bell{this})
                                       .value();

private:
    FakeStream* stream_ = nullptr;
    bool rang_ = false;
};

// The client of the pair has the channel.
class StreamTest : public PairTest {
protected:
    Client channel_;

    void SetUp() override {
        listen();
        connect(80, &channel_);
    }
    void TearDown() override {
        PairTest::TearDown();
        EXPECT_TRUE(channel_.shared.gone);
    }
    std::string server_reads() { return loop_.wait(loop_.ask(*server_, Verb::read)).bytes; }
};

TEST_F(StreamTest, bytes_and_ends_go_both_ways) {
    EXPECT_EQ(channel_.write("question"), 8u);
    EXPECT_EQ(server_reads(), "question");
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::write, "answer")), Error::ok);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::shutdown, {}, abi::shutdown_send)), Error::ok);
    loop_.run();
    EXPECT_EQ(channel_.read(), "answer");
    EXPECT_TRUE(channel_.ends.reader.ended());
    channel_.ends.writer.finish();
    channel_.ring();
    EXPECT_EQ(server_reads(), "");
    EXPECT_EQ(channel_.shared.reason, 0u);
}

TEST_F(StreamTest, requests_for_bytes_are_refused_and_a_second_channel_too) {
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::read)), Error::wrong_state);
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, "x")), Error::wrong_state);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::share)), Error::bad_argument);
    Client other;
    loop_.brings = &other;
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::share)), Error::busy);
    const uint64_t read = loop_.ask(*server_, Verb::read);
    loop_.brings = &other;
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::share)), Error::busy);
    other.refuses = Error::no_budget;
    channel_.write("x");
    EXPECT_EQ(loop_.wait(read).bytes, "x");
    loop_.brings = &other;
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::share)), Error::no_budget);
    loop_.brings = &other;
    EXPECT_EQ(error_of(loop_.ask(loop_.network().root(), Verb::open, "tcp/listen/81")),
              Error::not_supported);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::write, "goes on")), Error::ok);
}

TEST_F(StreamTest, many_bytes_wait_for_whoever_does_not_read) {
    const std::string sent = pattern(300'000);
    size_t written = 0;
    // Until nothing moves any more: the stream, lwIP's memory and the window are full.
    for (unsigned idle = 0; idle < 20;) {
        const size_t count = channel_.write(std::string_view(sent).substr(written));
        written += count;
        idle = count == 0 ? idle + 1 : 0;
        loop_.run(100 * millisecond);
    }
    EXPECT_LT(written, sent.size());
    std::string got;
    while (got.size() < sent.size()) {
        written += channel_.write(std::string_view(sent).substr(written));
        const std::string part = server_reads();
        ASSERT_FALSE(part.empty());
        got += part;
    }
    EXPECT_TRUE(got == sent);
    // And the other way, where the stream and the network's buffer fill up.
    written = 0;
    got.clear();
    uint64_t write = 0;
    for (unsigned turns = 0; got.size() < sent.size() && turns < 10'000; turns++) {
        if (write != 0 && loop_.asked(write).answered) {
            written += loop_.asked(write).outcome.words[0];
            write = 0;
        }
        if (write == 0 && written < sent.size()) {
            write = loop_.ask(*server_, Verb::write,
                              std::string_view(sent).substr(written, Loop::block_bytes));
        }
        if (turns % 7 == 0) got += channel_.read();
        loop_.run(millisecond);
    }
    EXPECT_TRUE(got == sent);
}

// The client writes while the network looks at its new channel for the first time, and rings only
// if it is asked to. Both threads yield while they wait, and the rounds end after ten seconds: on
// a loaded machine each wait can cost a time slice.
TEST_F(StreamTest, bytes_that_come_during_the_first_look_are_not_left) {
    constexpr unsigned rounds_max = 60'000;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::atomic<Client*> begun{nullptr};
    const std::jthread writer([&](const std::stop_token& over) {
        for (unsigned round = 0; !over.stop_requested(); round++) {
            Client* client;
            while ((client = begun.exchange(nullptr)) == nullptr) {
                if (over.stop_requested()) return;
                std::this_thread::yield();
            }
            for (std::atomic<unsigned> pause = round * 37 % 1009; pause > 0; pause--) {
            }
            client->ends.writer.write(std::as_bytes(std::span(std::string_view("x"))));
            client->written = true;
        }
    });
    unsigned rounds = 0;
    while (rounds < rounds_max && std::chrono::steady_clock::now() < end) {
        Client client;
        loop_.brings = &client;
        const uint64_t open =
            loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/127.0.0.1/80");
        begun = &client;
        loop_.run(millisecond);
        while (!client.written) std::this_thread::yield();
        if (client.is_asked()) client.ring();
        Node* const near = loop_.asked(open).outcome.opened;
        Node* const far = loop_.wait(loop_.ask(*listener_, Verb::accept)).outcome.opened;
        ASSERT_TRUE(near != nullptr && far != nullptr);
        ASSERT_EQ(loop_.wait(loop_.ask(*far, Verb::read)).bytes, "x") << "in round " << rounds;
        far->closed();
        near->closed();
        loop_.run(millisecond);
        rounds++;
    }
    RecordProperty("rounds", static_cast<int>(rounds));
    EXPECT_GT(rounds, 0u);
}

TEST_F(StreamTest, what_a_client_left_behind_is_sent) {
    EXPECT_EQ(channel_.write(pattern(4000)), 4000u);
    client_->closed();
    client_ = nullptr;
    std::string got;
    for (std::string part = server_reads(); !part.empty(); part = server_reads()) got += part;
    EXPECT_TRUE(got == pattern(4000));
    EXPECT_TRUE(channel_.shared.gone);
}

TEST_F(StreamTest, a_client_that_lets_go_of_its_end_is_noticed_with_its_last_bytes) {
    channel_.ends.writer.write(std::as_bytes(std::span(std::string_view("last"))));
    channel_.shared.client = ClientStream::Client::gone;
    channel_.ring();
    EXPECT_EQ(server_reads(), "last");
    EXPECT_EQ(server_reads(), "");
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::write, "dropped")), Error::ok);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::sync)), Error::ok);
}

TEST_F(StreamTest, a_reset_is_told_behind_the_bytes_that_came_before) {
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::write, "before")), Error::ok);
    loop_.run();
    channel_.write("unread");
    loop_.run();
    server_->closed();
    server_ = nullptr;
    loop_.run();
    EXPECT_EQ(channel_.read(), "before");
    EXPECT_EQ(channel_.shared.reason, abi::net_stream_reset);
}

TEST_F(StreamTest, impossible_indices_reset_the_connection) {
    channel_.write("fine");
    EXPECT_EQ(server_reads(), "fine");
    channel_.shared.memory.scribble(channel::producer_index_offset, 4 + 4097);
    channel_.ring();
    loop_.run();
    EXPECT_EQ(channel_.shared.reason, static_cast<uint32_t>(channel::Fault::producer_index));
    EXPECT_TRUE(channel_.shared.gone);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::read)), Error::closed);
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::read)), Error::faulted);
    EXPECT_EQ(error_of(loop_.ask(*client_, Verb::write, "x")), Error::faulted);
}

TEST_F(StreamTest, a_reader_that_lies_is_found_out_when_its_room_is_needed) {
    channel_.shared.memory.scribble(channel::ring_words_size + channel::consumer_index_offset, 77);
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::write, pattern(8000))), Error::ok);
    loop_.run();
    EXPECT_EQ(channel_.shared.reason, static_cast<uint32_t>(channel::Fault::consumer_index));
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::read)), Error::closed);
}

TEST_F(StreamTest, a_client_that_shuts_the_channel_down_resets_the_connection) {
    channel_.shared.client = ClientStream::Client::broken;
    channel_.ring();
    EXPECT_EQ(error_of(loop_.ask(*server_, Verb::read)), Error::closed);
}

TEST_F(StreamTest, a_connection_whose_acceptor_left_keeps_nothing_of_its_channel) {
    Client brought;
    loop_.brings = &brought;
    loop_.left = loop_.ask(*listener_, Verb::accept, {}, 0, 0, 9);
    Node* const client = loop_.open("tcp/connect/127.0.0.1/80");
    ASSERT_NE(client, nullptr);
    static_cast<void>(loop_.ask(*client, Verb::write, "for the next"));
    loop_.run();
    EXPECT_TRUE(brought.shared.gone);
    Node* const server =
        loop_.wait(loop_.ask(*listener_, Verb::accept, {}, 0, 0, 8)).outcome.opened;
    ASSERT_NE(server, nullptr);
    EXPECT_EQ(loop_.wait(loop_.ask(*server, Verb::read)).bytes, "for the next");
    client->closed();
    server->closed();
}

TEST_F(StreamTest, channels_are_divided_among_clients) {
    std::deque<Client> channels;
    std::vector<Node*> nodes;
    // How many connections with a channel a client gets.
    const auto open_all = [&](uint64_t client) {
        for (size_t count = 0;; count++) {
            const uint64_t accept = loop_.ask(*listener_, Verb::accept, {}, 0, 0, client + 100);
            loop_.brings = &channels.emplace_back();
            const Asked& asked = loop_.wait(loop_.ask(loop_.network().root(), Verb::open,
                                                      "tcp/connect/127.0.0.1/80", 0, 0, client));
            if (asked.outcome.opened == nullptr) {
                EXPECT_EQ(asked.outcome.status.code(), Error::limit);
                channels.pop_back();
                // It would take the next one.
                nodes.push_back(loop_.open("tcp/connect/127.0.0.1/80", 7));
                nodes.push_back(loop_.wait(accept).outcome.opened);
                return count;
            }
            nodes.push_back(asked.outcome.opened);
            nodes.push_back(loop_.wait(accept).outcome.opened);
        }
    };
    // The fixture's is client 1's.
    EXPECT_EQ(open_all(9), size_t{abi::net_streams_max} / 2);
    EXPECT_EQ(open_all(8), size_t{abi::net_streams_max} / 4);
    // One that waits with an accept is the listener's client's: client 1 has two then.
    Client waiting;
    loop_.brings = &waiting;
    const uint64_t accept = loop_.ask(*listener_, Verb::accept, {}, 0, 0, 6);
    EXPECT_FALSE(loop_.asked(accept).answered);
    nodes.push_back(loop_.open("tcp/connect/127.0.0.1/80", 6));
    nodes.push_back(loop_.wait(accept).outcome.opened);
    for (Node* const node : nodes) {
        ASSERT_NE(node, nullptr);
        node->closed();
    }
    loop_.run(30 * second);
    EXPECT_TRUE(waiting.shared.gone);
    for (const Client& channel : channels) EXPECT_TRUE(channel.shared.gone);
    nodes.clear();
    EXPECT_EQ(open_all(4), size_t{abi::net_streams_max} / 2);
    for (Node* const node : nodes) node->closed();
    loop_.run(30 * second);
}

TEST_F(StreamTest, there_are_so_many_channels_in_all) {
    std::deque<Client> channels;
    std::vector<Node*> nodes = {loop_.open("tcp/listen/81", 50)};
    uint64_t client = 100;  // each another one, so that no share ends
    const auto bring = [&] { loop_.brings = &channels.emplace_back(); };
    const auto connect = [&] {
        bring();
        return loop_.ask(loop_.network().root(), Verb::open, "tcp/connect/127.0.0.1/81", 0, 0,
                         client++);
    };
    // The fixture's is one of them. Both ends of a connection get one.
    size_t all = 1;
    for (; all + 2 <= abi::net_streams_max; all += 2) {
        bring();
        const uint64_t accept = loop_.ask(*nodes[0], Verb::accept, {}, 0, 0, client++);
        nodes.push_back(loop_.wait(connect()).outcome.opened);
        nodes.push_back(loop_.wait(accept).outcome.opened);
    }
    EXPECT_EQ(all, abi::net_streams_max - 1);
    nodes.push_back(loop_.wait(connect()).outcome.opened);
    for (Node* const node : nodes) ASSERT_NE(node, nullptr);
    // net_streams_max + 1
    EXPECT_EQ(error_of(connect()), Error::limit);
    bring();
    EXPECT_EQ(error_of(loop_.ask(*nodes[0], Verb::accept, {}, 0, 0, client)), Error::limit);
    nodes.back()->closed();
    nodes.pop_back();
    loop_.run(30 * second);
    nodes.push_back(loop_.wait(connect()).outcome.opened);
    for (Node* const node : nodes) {
        ASSERT_NE(node, nullptr);
        node->closed();
    }
    loop_.run(30 * second);
}

TEST_F(StreamTest, an_accept_that_ends_gives_its_channel_up) {
    Client other;
    loop_.brings = &other;
    const uint64_t accept = loop_.ask(*listener_, Verb::accept, {}, 0, 0, 1, loop_.now() + second);
    EXPECT_EQ(error_of(accept), Error::timed_out);
    EXPECT_TRUE(other.shared.gone);
}

}  // namespace
}  // namespace annulus::net
